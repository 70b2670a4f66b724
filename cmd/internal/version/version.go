// Package version says which version of natsrooms a program is.
package version

import (
	"regexp"
	"runtime/debug"
	"strings"

	"natsrooms/roomsvc"
)

// name is set by a build that knows its version:
//
//	go build -ldflags "-X natsrooms/cmd/internal/version.name=1.2.3" ./cmd/...
var name string

// release is a version that is no commit between two.
var release = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[a-z]+\.?\d*)?$`)

// Build is what a program was built from.
type Build struct {
	Version  string // 1.2.3; with the commit, where the build did not name its version
	Revision string // of the source; empty: not known
	Go       string // version of the compiler
}

// This is this program's build.
func This() Build {
	info, _ := debug.ReadBuildInfo()
	return of(name, info)
}

// String is its version.
func String() string { return This().Version }

// of is a build, by its name, if it has one, and by what the compiler left in the program.
func of(name string, info *debug.BuildInfo) Build {
	b := Build{Version: name}
	changed := ""
	if info != nil {
		b.Go = info.GoVersion
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				b.Revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = ".changed"
			}
		}
	}
	if b.Version == "" && info != nil && release.MatchString(info.Main.Version) {
		b.Version, changed = strings.TrimPrefix(info.Main.Version, "v"), "" // installed as a release
	}
	if b.Version == "" {
		b.Version = roomsvc.Version
		if b.Revision != "" {
			b.Version += "+" + b.Revision[:min(12, len(b.Revision))] + changed
		}
	}
	return b
}
