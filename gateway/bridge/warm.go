package main

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const warmRetry = time.Second

// warmPool keeps processes that were started ahead of need. They have pipes, since no connection exists yet to hand over.
type warmPool struct {
	s     *server
	size  int
	mu    sync.Mutex
	ready []*piped
	kick  chan struct{}
}

func newWarmPool(s *server, size int) *warmPool {
	return &warmPool{s: s, size: size, kick: make(chan struct{}, 1)}
}

// take returns the oldest warm process, or nil.
func (w *warmPool) take(tag string) *piped {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ready) == 0 || w.s.isDraining() {
		return nil
	}
	first := w.ready[0]
	w.ready = w.ready[1:]
	first.p.tail.rename(tag)
	w.refill()
	return first
}

func (w *warmPool) refill() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// run keeps the number of warm processes at size, until the bridge drains.
func (w *warmPool) run() {
	if w.size == 0 {
		return
	}
	for {
		wait := time.Hour
		if w.missing() > 0 && !w.startWarm() {
			wait = warmRetry
		} else if w.missing() > 0 {
			continue
		}
		select {
		case <-w.kick:
		case <-time.After(wait):
		case <-w.s.draining:
			w.discard("drain")
			return
		}
	}
}

func (w *warmPool) missing() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size - len(w.ready)
}

func (w *warmPool) startWarm() bool {
	child := w.startReady()
	if child == nil {
		return false
	}
	child.p.whenOver(func(exitReport) { w.remove(child) })
	return true
}

// startReady holds the lock from reading the environment on, so that a change of it discards this process, too.
func (w *warmPool) startReady() *piped {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, refused := w.s.prepare("warm")
	if refused != nil {
		return nil
	}
	child, refused := w.s.startWithPipes(l)
	if refused != nil {
		return nil
	}
	w.ready = append(w.ready, child)
	return child
}

// remove drops a process that has ended before it was taken.
func (w *warmPool) remove(child *piped) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, c := range w.ready {
		if c == child {
			w.ready = append(w.ready[:i:i], w.ready[i+1:]...)
			child.close()
			w.refill()
			return
		}
	}
}

// discard ends all warm processes: their environment is out of date.
func (w *warmPool) discard(cause string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, child := range w.ready {
		child.p.blame(cause) // before it can end by itself
		child.close()
		go child.p.stop(w.s.grace, cause)
	}
	w.ready = nil
	w.refill()
}

func (c *piped) close() {
	_ = unix.Close(c.stdin)
	_ = unix.Close(c.stdout)
}
