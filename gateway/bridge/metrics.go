package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// counters only grow.
type counters struct {
	linesIn, linesOut, replayed, takeovers, junk, oomKills atomic.Uint64

	mu      sync.Mutex
	refused map[string]uint64
}

func (c *counters) refuse(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[string]uint64{}
	}
	c.refused[reason]++
}

// refusals are the values of refused_total's label, so that a rate exists from the first refusal on.
var refusals = []string{"access", "backoff", "capacity", "draining", "greeting", "references", "start", "evicted"}

// metrics is the Prometheus text format.
func (s *server) metrics() string {
	current, _ := s.state.read()
	var sessions, detached int
	s.loop.call(func() {
		sessions = len(s.sessions)
		for _, sess := range s.sessions {
			if sess.link == nil {
				detached++
			}
		}
	})
	var out strings.Builder
	write := func(name, kind, help string, samples ...any) {
		fmt.Fprintf(&out, "# HELP mcp_bridge_%s %s\n# TYPE mcp_bridge_%s %s\n", name, help, name, kind)
		for i := 0; i < len(samples); i += 2 {
			fmt.Fprintf(&out, "mcp_bridge_%s%s %v\n", name, samples[i], samples[i+1])
		}
	}
	c := &s.counters
	write("build_info", "gauge", "The bridge's version.", fmt.Sprintf("{version=%q,commit=%q}", version, commit), 1)
	write("processes", "gauge", "Server processes running now.", "", current.Processes)
	write("processes_started_total", "counter", "Server processes started.", "", current.Started)
	write("processes_exited_total", "counter", "Server processes that have ended.", "", current.Exited)
	write("oom_kills_total", "counter", "Server processes killed for memory, by the bridge or by the kernel.", "", c.oomKills.Load())
	write("sessions", "gauge", "Attached sessions, with or without a connection.", "", sessions)
	write("sessions_detached", "gauge", "Sessions without a connection.", "", detached)
	write("session_takeovers_total", "counter", "Connections that a newer connection to the same session replaced.", "", c.takeovers.Load())
	write("lines_received_total", "counter", "Lines from clients to attached processes.", "", c.linesIn.Load())
	write("lines_sent_total", "counter", "Lines from attached processes to clients.", "", c.linesOut.Load())
	write("lines_replayed_total", "counter", "Lines sent again because they had not been acknowledged.", "", c.replayed.Load())
	write("junk_lines_total", "counter", "Lines of stdout that are not JSON-RPC messages.", "", c.junk.Load())
	write("refused_total", "counter", "Connections refused.", c.refusedSamples()...)
	return out.String()
}

func (c *counters) refusedSamples() []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	var samples []any
	for _, reason := range refusals {
		samples = append(samples, fmt.Sprintf("{reason=%q}", reason), c.refused[reason])
	}
	return samples
}
