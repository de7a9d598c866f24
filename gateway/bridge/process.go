package main

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running child, leader of its own process group.
type process struct {
	pid    int
	epoch  uint64 // ordinal of the process within this bridge
	began  time.Time
	tail   *stderrTail
	reaper *reaper
	wrote  func() bool   // reports whether it has written something, as far as the bridge can see; not after over is closed
	worked bool          // the result of wrote
	done   chan struct{} // closed when it has been reaped
	over   chan struct{} // closed when exit is complete
	exit   exitReport
	peak   uint64 // most resident memory, bytes; set when it is reaped

	mu    sync.Mutex
	ended string // why the bridge ended it
	oom   bool
	after []func(exitReport)
}

// signalGroup does nothing once the child has been reaped, when the number may be another's.
func (p *process) signalGroup(sig unix.Signal) {
	p.reaper.mu.Lock()
	defer p.reaper.mu.Unlock()
	if p.reaper.children[p.pid] == p {
		_ = unix.Kill(-p.pid, sig)
	}
}

// stop ends a child whose stdin is closed already: wait, TERM, wait, KILL. The first cause is the reported cause.
func (p *process) stop(grace time.Duration, cause string) {
	p.blame(cause)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		select {
		case <-p.done:
			return
		case <-time.After(grace):
			p.signalGroup(sig)
		}
	}
	<-p.done
}

func (p *process) blame(cause string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == "" {
		p.ended = cause
	}
}

// ending reports whether the bridge is ending it.
func (p *process) ending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended != ""
}

// killForMemory is the memory guard's.
func (p *process) killForMemory() {
	p.mu.Lock()
	p.oom = true
	p.mu.Unlock()
	p.blame("memory")
	p.signalGroup(unix.SIGKILL)
}

// whenOver calls f with the complete report, at once if it exists.
func (p *process) whenOver(f func(exitReport)) {
	p.mu.Lock()
	select {
	case <-p.over:
		p.mu.Unlock()
		f(p.exit)
	default:
		p.after = append(p.after, f)
		p.mu.Unlock()
	}
}

// finish completes the report of a child that has been reaped.
func (p *process) finish(status unix.WaitStatus, kernelKilled bool) {
	exit := report(status)
	p.tail.report(&exit)
	p.mu.Lock()
	p.worked = p.wrote()
	p.exit = exit
	p.exit.Ended = p.ended
	p.exit.OOM = p.oom || kernelKilled && p.exit.Signal == "SIGKILL" && p.ended == ""
	after := p.after
	close(p.over)
	p.mu.Unlock()
	for _, f := range after {
		f(p.exit)
	}
}

func report(status unix.WaitStatus) exitReport {
	if status.Signaled() {
		return exitReport{Code: 128 + int(status.Signal()), Signal: signalName(status.Signal())}
	}
	return exitReport{Code: status.ExitStatus()}
}

func signalName(s unix.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
