package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"time"
)

const keepAliveInterval = 10 * time.Second

// maxWatcherLine is the longest line of a watcher, which has little to say.
const maxWatcherLine = 4 << 10

// serveWatch sends the whole state at once, at each change and at the interval, until the watcher closes or sends a line too long.
func (s *server) serveWatch(conn stream) {
	defer conn.Close()
	s.state.watch(1)
	defer s.state.watch(-1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.heedWatcher(conn)
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

// heedWatcher reads what a watcher says: that the server has answered it. Other lines mean nothing.
func (s *server) heedWatcher(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 512), maxWatcherLine)
	for lines.Scan() {
		var said struct {
			Answered bool `json:"answered"`
		}
		body, isControl := bytes.CutPrefix(lines.Bytes(), []byte(magic))
		if isControl && json.Unmarshal(body, &said) == nil && said.Answered {
			s.state.update(func(st *state) { st.Awaited = false })
		}
	}
}
