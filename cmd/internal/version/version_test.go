package version

import (
	"runtime/debug"
	"testing"

	"natsrooms/roomsvc"
)

func TestOf(t *testing.T) {
	info := func(module string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: module}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123"}
	changed := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, c := range []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"", nil, roomsvc.Version},
		{"1.2.3", nil, "1.2.3"},
		{"", info("(devel)"), roomsvc.Version},
		{"", info("(devel)", revision), roomsvc.Version + "+0123456789ab"},
		{"", info("v0.0.0-20261127180000-0123456789ab", revision, changed), roomsvc.Version + "+0123456789ab.changed"},
		{"", info("v1.2.4-0.20261127180000-0123456789ab", revision), roomsvc.Version + "+0123456789ab"},
		{"", info("v1.2.3"), "1.2.3"},
		{"1.2.4", info("v1.2.3", revision, changed), "1.2.4"},
	} {
		if got := of(c.name, c.info); got.Version != c.want {
			t.Errorf("%q, %+v: %q, want %q", c.name, c.info, got.Version, c.want)
		}
	}
	if b := of("", info("(devel)", revision)); b.Revision != revision.Value || b.Go != "go1.26.8" {
		t.Errorf("%+v", b)
	}
	if String() == "" {
		t.Error("this program has no version")
	}
}
