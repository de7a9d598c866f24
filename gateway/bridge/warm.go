package main

import (
	"sync"
	"syscall"
	"time"
)

const warmRetry = time.Second

// warmth keeps processes that were started ahead. They have pipes, since there is no connection yet that they could be given.
type warmth struct {
	s     *server
	size  int
	mu    sync.Mutex
	ready []*piped
	kick  chan struct{}
}

func newWarmth(s *server, size int) *warmth {
	return &warmth{s: s, size: size, kick: make(chan struct{}, 1)}
}

// take returns the oldest warm process, or nil.
func (w *warmth) take(tag string) *piped {
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

func (w *warmth) refill() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// run keeps the number right, until the bridge drains.
func (w *warmth) run() {
	if w.size == 0 {
		return
	}
	for {
		wait := time.Hour
		if w.missing() > 0 && !w.startOne() {
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

func (w *warmth) missing() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size - len(w.ready)
}

func (w *warmth) startOne() bool {
	child := w.startReady()
	if child == nil {
		return false
	}
	child.p.whenOver(func(exitReport) { w.remove(child) })
	return true
}

// startReady holds the lock from reading the environment on: a change of it discards this process, too.
func (w *warmth) startReady() *piped {
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

// remove drops one that has ended before anybody took it.
func (w *warmth) remove(child *piped) {
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

// discard ends all that wait: their environment is no longer the right one.
func (w *warmth) discard(cause string) {
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
	_ = syscall.Close(c.stdin)
	_ = syscall.Close(c.stdout)
}
