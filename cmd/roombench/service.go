package main

import (
	"os"

	"natsrooms/cmd/roombench/process"
)

// service is a roomd that was started for the run, and its directory.
type service struct {
	*process.Roomd
	dir string
}

func startRoomd(o Options) (*service, error) {
	dir, err := os.MkdirTemp(o.Dir, "roombench")
	if err != nil {
		return nil, err
	}
	s := &service{dir: dir}
	if s.Roomd, err = process.Start(o.Roomd, embedded(o, dir)...); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// embedded is the arguments of a roomd with a server of its own.
func embedded(o Options, dir string) []string {
	return append([]string{"--port", "-1", "--store-dir", dir, "--sync", o.Sync}, o.RoomdArgs...)
}

func (s *service) close() {
	_ = s.Stop()
	_ = os.RemoveAll(s.dir)
}
