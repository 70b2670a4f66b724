package check

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

const (
	service = "../systemd/roomd.service"
	exposed = "15" // at most, in tenths, as systemd-analyze measures what a service may do; without any hardening it is 96
)

// directives are what a unit says, by section and name.
func directives(t *testing.T, text string) map[string][]string {
	t.Helper()
	options, err := unit.Deserialize(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	for _, o := range options {
		name := o.Section + "." + o.Name
		said[name] = append(said[name], o.Value)
	}
	return said
}

func TestUnit(t *testing.T) {
	said := directives(t, read(t, service))
	for name, want := range map[string]string{
		"Service.Type": "notify", "Service.NotifyAccess": "main", "Service.User": "roomd", "Service.StateDirectory": "roomd", "Service.WorkingDirectory": "/var/lib/roomd",
		"Service.Restart": "on-failure", "Service.RestartPreventExitStatus": "2", "Service.ExecStart": "/usr/local/bin/roomd --config /etc/roomd/roomd.yaml",
		"Service.ExecReload": "/usr/local/bin/roomd config check --config /etc/roomd/roomd.yaml\n/bin/kill -HUP $MAINPID", "Install.WantedBy": "multi-user.target",
	} {
		if got := strings.Join(said[name], "\n"); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if len(said["Service.WatchdogSec"]) != 1 {
		t.Error("there is no watchdog")
	}
	if user := strings.Fields(read(t, "../systemd/roomd.sysusers")); len(user) < 2 || user[0] != "u" || user[1] != said["Service.User"][0] {
		t.Errorf("the user that is made is %q", user)
	}
}

// What the file for systemd says is what roomd takes, and what stands in it as a comment is too.
func TestSettingsForSystemd(t *testing.T) {
	from := decided(t, nil, "--config", abs(t, "../systemd/roomd.yaml"))
	for _, name := range []string{"store-dir", "http"} {
		if !strings.Contains(from[name], "roomd.yaml:") {
			t.Errorf("%s comes from %q", name, from[name])
		}
	}
	key := write(t, "auth.key", "a secret of at least 32 bytes, for this test")
	text := strings.NewReplacer("#nats-config: /etc/roomd/nats.conf", "", "#auth", "auth", "/etc/roomd/auth.key", key).Replace(read(t, "../systemd/roomd.yaml"))
	if out, err := run(t, nil, "config", "check", "--config", write(t, "roomd.yaml", text)); err != nil || !strings.HasSuffix(out, "ok\n") || !strings.Contains(text, "\nauth-key: "+key) {
		t.Errorf("roomd config check: %v\n%s", err, out)
	}
}

// Systemd itself finds nothing wrong with the unit, and the service may do little, where systemd is there
// to say so.
func TestVerifiedBySystemd(t *testing.T) {
	text := strings.ReplaceAll(read(t, service), "/usr/local/bin/roomd", roomd)
	if text == read(t, service) {
		t.Fatal("the unit does not name the program")
	}
	path := write(t, "roomd.service", text)
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return // TestUnit has read it
	}
	for _, args := range [][]string{{"verify", "--man=no", "--recursive-errors=no", path}, {"security", "--offline=true", "--no-pager", "--threshold=" + exposed, path}} {
		if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
