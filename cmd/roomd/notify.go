package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// What a service manager such as systemd is told, if it wants to know (NOTIFY_SOCKET).
const (
	readyState = daemon.SdNotifyReady
	stopState  = daemon.SdNotifyStopping
	aliveState = daemon.SdNotifyWatchdog
)

// reloading is what it is told when the configuration is read again.
func reloading() string {
	return daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()
}

// notify tells the service manager, if there is one.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager cannot be told", "state", state, "error", err)
	}
}

// watchdog tells the service manager that roomd is well, three times in the time within which it
// wants to hear that, until ctx ends. While roomd is not well it says nothing, and the service
// manager will start it again.
func watchdog(ctx context.Context, log *slog.Logger, well func(within time.Duration) bool) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog cannot be told anything", "error", err)
	}
	if err != nil || interval == 0 {
		return
	}
	every := interval / 3
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if well(every) {
			notify(log, aliveState)
		} else {
			log.Error("roomd is not well; the service manager is not told that it is alive", "restart within", interval)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// well says within a time whether the process is worth keeping: its service has not failed and the
// server that it embeds answers. A server elsewhere may be away; another start would not bring it
// back.
func (l *link) well(failure func() error) func(time.Duration) bool {
	return func(within time.Duration) bool {
		return failure() == nil && (!l.embedded || l.nc.FlushTimeout(within) == nil)
	}
}
