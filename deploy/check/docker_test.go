package check

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const dockerfile = "../docker/Dockerfile"

// stages are those of a Dockerfile, and what its linter says.
func stages(t *testing.T, text string) (list []instructions.Stage, warnings []string) {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		warnings = append(warnings, w.Short)
	}
	lint := linter.New(&linter.Config{ExperimentalAll: true, Warn: func(rule, _, _, message string, _ []parser.Range) {
		warnings = append(warnings, rule+": "+message)
	}})
	if list, _, err = instructions.Parse(parsed.AST, lint); err != nil {
		t.Fatal(err)
	}
	return list, warnings
}

// only is the one command of a kind in a stage.
func only[C instructions.Command](t *testing.T, s instructions.Stage) (c C) {
	t.Helper()
	n := 0
	for _, command := range s.Commands {
		if is, ok := command.(C); ok {
			c, n = is, n+1
		}
	}
	if n != 1 {
		t.Fatalf("%d commands of the kind %T in the last stage", n, c)
	}
	return c
}

func TestDockerfile(t *testing.T) {
	if _, warnings := stages(t, "FROM scratch\nMAINTAINER me\n"); len(warnings) != 1 {
		t.Fatalf("the linter does not see what is wrong: %q", warnings)
	}
	text := read(t, dockerfile)
	list, warnings := stages(t, text)
	if len(warnings) > 0 {
		t.Errorf("warnings: %q", warnings)
	}
	if len(list) != 2 || list[1].BaseName != "scratch" {
		t.Fatalf("%d stages", len(list))
	}
	if version := goVersion(t); !strings.HasPrefix(list[0].BaseName, "golang:"+version+"-") || !strings.Contains(text, "CGO_ENABLED=0") {
		t.Errorf("it is built by %s, and go.mod says %s", list[0].BaseName, version)
	}
	if user := only[*instructions.UserCommand](t, list[1]).User; user != "10001:10001" {
		t.Errorf("it runs as %q", user)
	}
	if entry := only[*instructions.EntrypointCommand](t, list[1]).CmdLine; !slices.Equal(entry, []string{"/roomd"}) {
		t.Errorf("it runs %q", entry)
	}
	// There is no shell that could run a line of text.
	if health := only[*instructions.HealthCheckCommand](t, list[1]).Health; !slices.Equal(health.Test, []string{"CMD", "/roomd", "ready"}) || health.Timeout.Seconds() <= 10 {
		t.Errorf("its health check is %q, within %v", health.Test, health.Timeout)
	}
	env := map[string]string{}
	for _, kv := range only[*instructions.EnvCommand](t, list[1]).Env {
		env[kv.Key] = kv.Value
	}
	decided(t, env)
	// The same image serves beside a server of its own and beside another.
	var all []string
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	for _, args := range [][]string{{"config", "check"}, {"config", "check", "--nats", "nats://n1"}} {
		if out, err := run(t, all, args...); err != nil {
			t.Errorf("roomd %q: %v\n%s", args, err, out)
		}
	}
}

func goVersion(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(read(t, "../../go.mod")) {
		if version, ok := strings.CutPrefix(line, "go "); ok {
			return strings.TrimSpace(version)
		}
	}
	t.Fatal("go.mod names no version of Go")
	return ""
}

// project is a file of Docker Compose.
func project(t *testing.T, path string) *types.Project {
	t.Helper()
	path = abs(t, path)
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: filepath.Dir(path), ConfigFiles: []types.ConfigFile{{Filename: path}}, Environment: types.Mapping{"SYSTEM_PASSWORD": "1e5"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range p.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Restart != "unless-stopped" {
			t.Errorf("%s: %s may do more than it needs, or is not started again", path, name)
		}
		for _, port := range s.Ports {
			if ip := net.ParseIP(port.HostIP); ip == nil || !ip.IsLoopback() {
				t.Errorf("%s: %s can be reached from elsewhere: %+v", path, name, port)
			}
		}
		for _, v := range s.Volumes {
			if _, ok := p.Volumes[v.Source]; !ok || v.Target != "/data" {
				t.Errorf("%s: the volume of %s is %+v", path, name, v)
			}
		}
		if b := s.Build; b != nil && filepath.Join(b.Context, b.Dockerfile) != abs(t, dockerfile) {
			t.Errorf("%s: %s is built from %s in %s", path, name, b.Dockerfile, b.Context)
		}
	}
	return p
}

// environment is what a service of Compose gets, without what has no value.
func environment(s types.ServiceConfig) map[string]string {
	env := map[string]string{}
	for name, value := range s.Environment {
		if value != nil {
			env[name] = *value
		}
	}
	return env
}

func TestComposeOfOne(t *testing.T) {
	s := project(t, "../docker/compose.yaml").Services["roomd"]
	from := decided(t, environment(s), s.Command...)
	if from["host"] != "ROOMD_HOST" || len(s.Volumes) != 1 {
		t.Errorf("from %q, volumes %+v", from, s.Volumes)
	}
}

func TestComposeOfCluster(t *testing.T) {
	p := project(t, "../cluster/compose.yaml")
	roomds := 0
	for name, s := range p.Services {
		env := environment(s)
		if !strings.HasPrefix(name, "roomd") {
			if env["NAME"] != name || !strings.Contains(env["ROUTES"], "nats://"+name+":"+env["CLUSTER_PORT"]) {
				t.Errorf("%s: %q", name, env)
			}
			if want := "nats:" + natsVersion(t) + "-alpine"; s.Image != want {
				t.Errorf("%s runs %s, and go.mod says %s", name, s.Image, want)
			}
			continue
		}
		roomds++
		for _, server := range strings.Split(env["ROOMD_NATS"], ",") {
			if server = strings.TrimSuffix(strings.TrimPrefix(server, "nats://"), ":4222"); p.Services[server].Image == "" {
				t.Errorf("%s connects to %q", name, server)
			}
		}
		// With the files where the container has them.
		var args []string
		for _, arg := range s.Command {
			if arg == "/etc/roomd/roomd.yaml" {
				arg = p.Configs["roomd"].File
			}
			args = append(args, arg)
		}
		if from := decided(t, env, args...); !strings.Contains(from["replicas"], "roomd.yaml:") {
			t.Errorf("%s: the replicas come from %q", name, from["replicas"])
		}
	}
	if roomds != 3 || len(p.Services) != 6 {
		t.Errorf("%d roomd among %d services", roomds, len(p.Services))
	}
	if got := p.Configs["system"].Content; got != "system:1e5" {
		t.Errorf("the credentials are %q", got)
	}
}

func natsVersion(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(read(t, "../../go.mod")) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "github.com/nats-io/nats-server/v2" {
			return strings.TrimPrefix(f[1], "v")
		}
	}
	t.Fatal("go.mod names no NATS server")
	return ""
}
