package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// childSignals coalesces: one notification is enough, since the reaper takes all zombies that there are.
func childSignals() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGCHLD)
	return c
}

// stopSignals has room for a second signal, which forces the end.
func stopSignals() <-chan os.Signal {
	c := make(chan os.Signal, 2)
	signal.Notify(c, unix.SIGTERM, unix.SIGINT)
	return c
}
