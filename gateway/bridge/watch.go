package main

import "time"

const keepAliveInterval = 10 * time.Second

// serveWatch sends the whole state at once, at each change and at the interval, until the watcher closes.
func (s *server) serveWatch(conn stream) {
	defer conn.Close()
	s.state.watch(1)
	defer s.state.watch(-1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		discardAll(conn)
	}()
	keepAlive := time.NewTicker(keepAliveInterval)
	defer keepAlive.Stop()
	for {
		current, changed := s.state.read()
		_ = conn.SetWriteDeadline(time.Now().Add(keepAliveInterval))
		if _, err := conn.Write(controlLine(current)); err != nil {
			return
		}
		select {
		case <-changed:
		case <-keepAlive.C:
		case <-gone:
			return
		}
	}
}
