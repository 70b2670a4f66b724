package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natsrooms/cmd/roombench/process"
)

// serverEnv makes this program a NATS server of a cluster: number|store|sync|ports of the cluster.
const serverEnv = "ROOMBENCH_SERVER"

// within is how long something may take that is only to be waited for.
const within = time.Minute

// deployment is a service with its servers, each a process of its own.
type deployment struct {
	dir     string
	servers []*exec.Cmd
	roomd   *process.Roomd
	url     string
}

func deploy(o Options) (d *deployment, err error) {
	d = &deployment{}
	if d.dir, err = os.MkdirTemp(o.Dir, "capacity"); err != nil {
		return nil, err
	}
	args := []string{"--feeds"}
	if o.Servers == 1 {
		args = append(args, "--port", "-1", "--store-dir", filepath.Join(d.dir, "1"), "--sync", o.Sync)
	} else if err = d.cluster(o); err == nil {
		args = append(args, "--nats", d.url, "--replicas", strconv.Itoa(o.Servers))
	}
	if err == nil {
		d.roomd, err = process.Start(o.Roomd, args...)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	d.url = d.roomd.URL
	return d, nil
}

func (d *deployment) close() {
	if d.roomd != nil {
		d.roomd.Kill()
	}
	for _, c := range d.servers {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	_ = os.RemoveAll(d.dir)
}

// cluster starts servers that are a cluster, and waits until it stores.
func (d *deployment) cluster(o Options) error {
	ports, err := freePorts(2 * o.Servers)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for n := range o.Servers {
		what := []string{strconv.Itoa(n), filepath.Join(d.dir, strconv.Itoa(n)), o.Sync}
		c := exec.Command(self)
		c.Env = append(os.Environ(), serverEnv+"="+strings.Join(append(what, ports...), "|"))
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			return err
		}
		d.servers = append(d.servers, c)
	}
	d.url = "nats://127.0.0.1:" + ports[o.Servers]
	nc, err := nats.Connect(d.url, nats.RetryOnFailedConnect(true), nats.ReconnectWait(50*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for end := time.Now().Add(within); ; {
		err = tryStream(js, o.Servers)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// tryStream makes a stream with all the replicas, which shows that the cluster stores, and
// deletes it.
func tryStream(js jetstream.JetStream, replicas int) error {
	const name = "capacity-try"
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Replicas: replicas}); err != nil {
		return err
	}
	return js.DeleteStream(ctx, name)
}

// freePorts are ports that nobody listens on.
func freePorts(n int) (ports []string, err error) {
	for range n {
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
		if err != nil {
			return nil, err
		}
		s.Start()
		defer s.Shutdown() // not before all of them are found
		if !s.ReadyForConnections(within) {
			return nil, fmt.Errorf("no server starts")
		}
		u, err := url.Parse(s.ClientURL())
		if err != nil {
			return nil, err
		}
		ports = append(ports, u.Port())
	}
	return ports, nil
}

// serve is a server of a cluster, until it is killed.
func serve(what string) {
	part := strings.Split(what, "|")
	n, _ := strconv.Atoi(part[0])
	sync, _ := time.ParseDuration(part[2])
	ports := part[3:]
	size := len(ports) / 2
	port := func(s string) int { p, _ := strconv.Atoi(s); return p }
	o := &server.Options{
		ServerName: "n" + part[0], Host: "127.0.0.1", Port: port(ports[size+n]), JetStream: true, StoreDir: part[1], SyncInterval: sync, NoSigs: true, NoLog: true,
		Cluster: server.ClusterOpts{Name: "capacity", Host: "127.0.0.1", Port: port(ports[n])},
	}
	for _, p := range ports[:size] {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: "127.0.0.1:" + p})
	}
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1)
	}
	s.Start()
	s.WaitForShutdown()
}

// use is what a deployment has used so far, and what it holds.
type use struct {
	roomd, servers time.Duration // processor
	memory         int64         // bytes, of all processes together
}

func (d *deployment) use() (u use, err error) {
	add := func(pid int, to *time.Duration) {
		t, e := process.CPU(pid)
		m, e2 := process.MemoryOf(pid)
		if *to += t; e != nil || e2 != nil {
			err = fmt.Errorf("process %d: %w, %w", pid, e, e2)
		}
		u.memory += m.Now
	}
	add(d.roomd.PID, &u.roomd)
	for _, c := range d.servers {
		add(c.Process.Pid, &u.servers)
	}
	return u, err
}
