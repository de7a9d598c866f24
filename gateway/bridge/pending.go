package main

import (
	"container/list"
	"net"
	"sync"
)

// pending holds the connections that are not authenticated yet. At its maximum a new connection closes the oldest, so that
// connections that send nothing cannot keep others out.
type pending struct {
	mu      sync.Mutex
	maximum int
	conns   *list.List // of net.Conn, the oldest first
}

func newPending(maximum int) *pending { return &pending{maximum: maximum, conns: list.New()} }

// add registers a connection, and reports whether another had to be closed for it. remove is false when conn itself has been
// closed for another meanwhile.
func (p *pending) add(conn net.Conn) (remove func() bool, evicted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns.Len() >= p.maximum {
		oldest := p.conns.Front()
		_ = p.conns.Remove(oldest).(net.Conn).Close()
		evicted = true
	}
	element := p.conns.PushBack(conn)
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		before := p.conns.Len()
		p.conns.Remove(element) // does nothing for an element that is gone
		return p.conns.Len() < before
	}, evicted
}
