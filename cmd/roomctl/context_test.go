package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// contextFile makes a context of the nats command line.
func contextFile(t *testing.T, dir, name, text string) {
	t.Helper()
	dir = filepath.Join(dir, "nats", "context")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Not parallel: where contexts are is in the environment.
func TestContext(t *testing.T) {
	s := service(t, func(o *server.Options) { o.Users = []*server.User{{Username: "u", Password: "p"}} })
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	contextFile(t, dir, "here", `{"description":"x","url":"`+s.ClientURL()+`","user":"u","password":"p"}`)
	contextFile(t, dir, "wrong", `{"url":"`+s.ClientURL()+`","user":"u","password":"q"}`)
	contextFile(t, dir, "nowhere", `{"url":"nats://127.0.0.1:1"}`)
	contextFile(t, dir, "broken", `{`)
	contextFile(t, dir, "lost", `{"url":"nats://127.0.0.1:1","creds":"/nowhere/at.all"}`)
	contextFile(t, dir, "nsc", `{"nsc":"nsc://o/a/u"}`)
	t.Setenv("PATH", "/nowhere")
	roomctl(t, "enter", "lobby", "--as", "alice", "--context", "here").want(t, exitOK, "alice created lobby")
	roomctl(t, "join", "garden", "--as", "alice", "--context", "here").want(t, exitRefused, "try: roomctl enter garden --context here --as alice")
	roomctl(t, "doctor", "--context", "here").want(t, exitOK, s.ClientURL())
	roomctl(t, "ls", "--context", "wrong").want(t, exitNoServer, "at the server of the context wrong that lets you in")
	roomctl(t, "ls", "--context", "nowhere").want(t, exitNoServer, "the server of the context nowhere")
	for _, name := range []string{"broken", "lost", "nsc", "other", "../x"} {
		roomctl(t, "ls", "--context", name).want(t, exitUsage, "--context: "+name+" cannot be used")
	}
	roomctl(t, "ls", "--context", "here", "-s", s.ClientURL()).want(t, exitUsage, "leave out --server")
	t.Setenv(envContext, "here")
	t.Setenv(envServer, "nats://127.0.0.1:1")
	roomctl(t, "ls").want(t, exitOK, "lobby")
	// What is typed comes before what is in the environment.
	roomctl(t, "ls", "-s", "nats://127.0.0.1:1").want(t, exitNoServer, "at nats://127.0.0.1:1")
	if got := strings.Join(contexts(), " "); got != "broken here lost nowhere nsc wrong" {
		t.Errorf("contexts: %s", got)
	}
}

// tab is what a shell is told when somebody presses the tab key at the end of a line.
func tab(t *testing.T, line string, env ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(append(os.Environ(), "COMP_LINE="+line), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(out))
	slices.Sort(words) // what shells do; the library has them in no order
	return strings.Join(words, " ")
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	for _, id := range []string{"lobby", "lounge", "lo unge", "garden"} {
		roomctl(t, "enter", id, "--as", "alice", "-s", url).want(t, exitOK)
	}
	roomctl(t, "enter", "loft", "--as", "bob", "-s", url).want(t, exitOK)
	dir := t.TempDir()
	contextFile(t, dir, "here", `{"url":"`+url+`"}`)
	for line, want := range map[string]string{
		"roomctl mem":                                 "members",
		"roomctl members --co":                        "--context --count",
		"roomctl transcript x --format ":              "json markdown text",
		"roomctl members lo":                          "lobby loft lounge",
		"roomctl switch garden lo":                    "lobby loft lounge",
		"roomctl members --as alice --end-user lo":    "lobby lounge",
		"roomctl members --context ":                  "here",
		"roomctl help unb":                            "unban unblock",
		"roomctl members -s nats://127.0.0.1:1 lo":    "",
		"roomctl members -s nats://127.0.0.1:1 --cou": "--count",
		"roomctl members --context here lo":           "lobby loft lounge",
	} {
		if got := tab(t, line, envServer+"="+url, "XDG_CONFIG_HOME="+dir); got != want {
			t.Errorf("%q goes on with %q, not %q", line, got, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		roomctl(t, "completion", shell).want(t, exitOK, "completion -c "+shell)
		code := roomctl(t, "completion", "-c", shell)
		code.want(t, exitOK, "complete ", "roomctl")
		if _, err := exec.LookPath(shell); err == nil { // those that are there take it
			script := code.stdout
			if shell == "zsh" {
				script = "autoload -U compinit; compinit -D\n" + script
			}
			if out, err := exec.CommandContext(t.Context(), shell, "-c", script).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s: %v: %s", shell, err, out)
			}
		} else {
			t.Logf("%s is not installed here, so its completion was not tried in it", shell)
		}
	}
	roomctl(t, "completion", "csh").want(t, exitUsage)
}

// zshTyped has somebody type what the arguments say into a zsh, each with the tab key after it, and prints what the line is then.
const zshTyped = `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1='READY> '; unsetopt prompt_cr prompt_sp zle_bracketed_paste; autoload -U compinit; compinit -D; source $1; echo set-\$((1+1))"
zpty -r z line '*set-2*READY> '
for typed in "${@:2}"; do
	zpty -w -n z "$typed"$'\t'
	zpty -w -n z $'\x01echo \x22[\x05]\x22\n'
	zpty -r z line $'*\n\\[*\\]*' && print -r -- "${${line##*$'\n'\[}%%\]*}"
done
zpty -d z
`

// What the tab key does in a zsh and a fish; machines that have none try only what these shells run.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	url := service(t).ClientURL()
	roomctl(t, "enter", "lobby", "--as", "alice", "-s", url).want(t, exitOK)
	typed := []string{"roomctl webh", "roomctl webhooks rep", "roomctl members --cou", "roomctl members lob"}
	want := []string{"webhooks", "replay", "--count", "lobby"}
	for shell, lines := range map[string]func(script string) []string{
		"zsh": func(script string) []string {
			file := filepath.Join(t.TempDir(), "completion")
			if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			return append([]string{"-f", "-c", zshTyped, "zsh", file}, typed...)
		},
		"fish": func(script string) []string {
			for _, line := range typed {
				script += "\ncomplete -C '" + line + "'"
			}
			return []string{"-N", "-c", script}
		},
	} {
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s is not installed here, so its completion was not tried in it", shell)
			continue
		}
		cmd := exec.CommandContext(t.Context(), shell, lines(roomctl(t, "completion", "-c", shell).stdout)...)
		cmd.Env = append(os.Environ(), envServer+"="+url, "XDG_CONFIG_HOME="+t.TempDir(), "HOME="+t.TempDir(), "TERM=dumb")
		out, err := cmd.CombinedOutput()
		var got []string
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			if len(words) > 0 {
				got = append(got, words[len(words)-1])
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v: %q\n%s", shell, err, got, out)
		}
	}
}
