package main

import (
	"errors"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// server owns the listener, the children and their state.
type server struct {
	options
	log       *logger
	state     *stateStore
	loop      *loop
	reaper    *reaper
	warmPool  *warmPool
	memory    cgroup
	footprint footprint
	counters  counters
	starting  sync.Mutex          // held from the lookup of a session until it has begun
	sessions  map[string]*session // only on the loop's thread
	pending   *pending            // connections that are not classified and authenticated yet

	mu      sync.Mutex
	breaker *breaker

	draining       chan struct{} // closed at SIGTERM
	deadline       chan struct{} // closed when draining has taken long enough
	open           atomic.Int64  // connections and sessions that may still send something
	pendingReports atomic.Int64  // connections whose process has not started, not ended, or not been reported as ended
}

const (
	referencesInterval = 2 * time.Second
	maxPending         = 1024 // connections that are not authenticated yet

	// The heap is small and mostly buffers: collecting it four times as often as usual costs little and keeps it small.
	collectAt = 25
)

func serve(o options) int {
	debug.SetGCPercent(collectAt)
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) // the loop may occupy one of them
	log := newLogger(os.Stderr)
	defer log.flush()
	s, err := newServer(o, log)
	if err != nil {
		log.printf("%v", err)
		return 1
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		log.printf("cannot listen on %s: %v", o.listen, err)
		return 1
	}
	if o.health != "" {
		if err := s.serveHealth(o.health); err != nil {
			log.printf("cannot listen on %s: %v", o.health, err)
			return 1
		}
	}
	log.printf("%s (%s) on %s for %v", version, commit, listener.Addr(), o.command)
	stops := stopSignals()
	go s.pollReferences()
	go s.guardMemory()
	go s.warmPool.run()
	go s.accept(listener)
	<-stops
	s.drain(stops)
	_ = listener.Close()
	return 0
}

func newServer(o options, log *logger) (*server, error) {
	loop, err := newLoop()
	if err != nil {
		return nil, err
	}
	memory := findCgroup()
	s := &server{
		options: o, log: log, state: newStateStore(), loop: loop, reaper: newReaper(o.maxProcesses, memory.oomKills),
		sessions: map[string]*session{}, pending: newPending(maxPending), breaker: newBreaker(o.maxStartRate, time.Now()),
		draining: make(chan struct{}), deadline: make(chan struct{}),
	}
	s.warmPool = newWarmPool(s, o.warm)
	s.memory = memory
	s.state.update(func(st *state) { st.Awaited = o.awaitAnswer })
	s.checkReferences()
	return s, nil
}

func (s *server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: wait for some to be released
			s.log.printf("accept: %v", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		s.open.Add(1)
		go func() {
			defer s.open.Add(-1)
			s.handle(conn.(*net.TCPConn))
		}()
	}
}

func (s *server) handle(tcp *net.TCPConn) {
	if s.startAtOnce {
		s.run(tcp, greeting{Mode: "raw", Tag: "raw"})
		return
	}
	authenticated, evicted := s.pending.add(tcp)
	if evicted {
		s.counters.refuse("evicted")
	}
	conn, g, refused := s.meet(tcp)
	if !authenticated() {
		_ = conn.Close()
		return
	}
	switch {
	case refused != nil:
		s.turnAway(conn, g, *refused)
	case g.Mode == "attach":
		s.attach(conn, g)
	case g.Mode == "watch":
		s.serveWatch(conn)
	default:
		s.run(conn, g)
	}
}

// meet reads what a connection asks for and checks its access. A refusal without an error is for a peer that cannot read it.
func (s *server) meet(tcp *net.TCPConn) (stream, greeting, *refusal) {
	conn, deadline := stream(tcp), time.Now().Add(greetingTimeout)
	_ = tcp.SetDeadline(deadline)
	if s.access.cert != "" {
		inner, refused := s.access.unwrap(tcp)
		if refused != nil {
			return tcp, greeting{}, refused
		}
		conn = inner
		_ = conn.SetDeadline(deadline)
	}
	g, refused := s.authenticate(conn, tcp.LocalAddr())
	_ = conn.SetDeadline(time.Time{})
	return conn, g, refused
}

// authenticate reads the greeting and, where a proof is required, the proof.
func (s *server) authenticate(conn stream, local net.Addr) (greeting, *refusal) {
	kind, line, err := sniff(conn)
	if errors.Is(err, errGreetingTooLong) {
		return greeting{}, &refusal{Error: "greeting", Message: err.Error()}
	}
	if err != nil {
		return greeting{}, &refusal{}
	}
	if kind == raw {
		g := greeting{Mode: "raw", Tag: "raw"}
		if s.access.restricted() {
			return greeting{}, &refusal{Error: "access", Reason: "GreetingRequired", Message: "raw connections are disabled; send a greeting line"}
		}
		return g, nil
	}
	g, err := parseGreeting(line)
	if err != nil {
		return greeting{}, &refusal{Error: "greeting", Message: err.Error()}
	}
	refused := s.access.admits(g.Token)
	if refused == nil && s.access.gateway.folder != "" {
		refused = s.access.gateway.demand(conn, local)
	}
	return g, refused
}

// run serves a raw or direct connection.
func (s *server) run(conn stream, g greeting) {
	if s.pipes || s.warmPool.size > 0 {
		s.pump(conn, g)
		return
	}
	s.handOver(conn, g)
}

// turnAway closes a connection, with the reason if it was greeted.
func (s *server) turnAway(conn stream, g greeting, r refusal) {
	if r.Error == "" || g.Mode == "raw" {
		_ = conn.Close()
		return
	}
	refuse(conn, s.refused(r))
}

// refused counts a refusal before it is sent.
func (s *server) refused(r refusal) refusal {
	s.counters.refuse(r.Error)
	return r
}

// junk logs a line of stdout that is not a JSON-RPC message; a server that prints there still works.
func (s *server) junk(p *process, line []byte) {
	s.counters.junk.Add(1)
	p.tail.keepJunk(line)
	s.log.line(p.tail.label(p.pid)+" stdout, not a message", string(line), &p.tail.junk)
}

// checkReferences checks whether the command could start now, without starting it.
func (s *server) checkReferences() {
	env := buildEnvironment(os.Environ(), s.env, s.refs)
	_, err := lookPath(expand(s.command[0], env.values), env.list())
	digest := s.state.digest(env)
	before, _ := s.state.read()
	var failure *refusal
	if err != nil {
		failure = startRefusal(err)
	} else if before.Failure != nil && before.References == digest {
		failure = before.Failure // from a real start: only a change of the environment or a successful start clears it
	}
	missing := append(append([]string{}, env.missing...), s.access.gateway.missing()...)
	same := failure.same(before.Failure)
	if same && before.References == digest && slices.Equal(before.Missing, missing) {
		return
	}
	if len(missing) > 0 {
		s.log.printf("missing references: %v", missing)
	}
	if failure != nil && !same {
		s.log.printf("cannot start: %s: %s", failure.Reason, failure.Message)
	}
	s.state.update(func(st *state) {
		st.References, st.Failure = digest, failure
		st.Missing = missing
	})
	s.warmPool.discard("changed")
}

func (s *server) pollReferences() {
	for range time.Tick(referencesInterval) {
		s.checkReferences()
	}
}

// drain leaves the decision to the gateway: while it watches, processes live until it releases them, at most until the deadline.
func (s *server) drain(stops <-chan os.Signal) {
	wait := s.drainTimeout
	if !s.state.watched() {
		wait = 0
	}
	close(s.draining) // first: it must be true before watchers read it
	s.state.update(func(st *state) { st.Draining, st.deadline = true, time.Now().Add(wait) })
	deadline := time.After(wait)
	for s.reaper.count() > 0 || s.pendingReports.Load() > 0 { // an accepted connection's process may still be starting
		_, changed := s.state.read()
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond): // the last exit may have been announced before the read
		case <-deadline:
			close(s.deadline)
			s.endSessions()
			deadline = nil
		case <-stops:
			for _, p := range s.reaper.all() {
				p.blame("drain")
				p.signalGroup(syscall.SIGKILL)
			}
		}
	}
	s.flushReports()
}

// flushReports waits for the last lines to clients: for exit reports, which a busy machine may delay, and a second at most for
// the connections themselves, of which watches stay open.
func (s *server) flushReports() {
	untilZero(&s.pendingReports, 5*time.Second)
	untilZero(&s.open, time.Second)
}

func untilZero(count *atomic.Int64, most time.Duration) {
	for deadline := time.Now().Add(most); count.Load() != 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}
