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

// server owns the listener, the children and what is known about them.
type server struct {
	options
	log      *logger
	board    *board
	loop     *loop
	nursery  *nursery
	warmth   *warmth
	memory   cgroup
	counters counters
	starting sync.Mutex          // held from looking for a session to having begun it
	sessions map[string]*session // only on the loop's thread
	waiting  atomic.Int64        // connections that have not said yet what they are

	mu      sync.Mutex
	breaker *breaker

	draining chan struct{} // closed at SIGTERM
	deadline chan struct{} // closed when draining has taken long enough
	open     atomic.Int64  // connections and sessions that may still have something to say
	telling  atomic.Int64  // connections whose process has not started, not ended, or not been reported as ended
}

const (
	referencesInterval = 2 * time.Second
	maxWaiting         = 4096

	// The heap is small and mostly buffers: collecting it four times as often as usual costs little and keeps it small.
	collectAt = 25
)

func serve(o options) int {
	debug.SetGCPercent(collectAt)
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) // the loop may hold one
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
	go s.warmth.run()
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
		options: o, log: log, board: newBoard(), loop: loop, nursery: newNursery(o.maxProcesses, memory.oomKills),
		sessions: map[string]*session{}, breaker: newBreaker(o.maxStartRate, time.Now()),
		draining: make(chan struct{}), deadline: make(chan struct{}),
	}
	s.warmth = newWarmth(s, o.warm)
	s.memory = memory
	s.checkReferences()
	return s, nil
}

func (s *server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: give some time to return instead of spinning
			s.log.printf("accept: %v", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if s.waiting.Load() >= maxWaiting {
			_ = conn.Close()
			s.counters.refuse("storm")
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
	s.waiting.Add(1)
	conn, g, refused := s.meet(tcp)
	s.waiting.Add(-1)
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

// meet finds out what a connection wants and whether it may. A refusal without an error is for a peer that cannot be told.
func (s *server) meet(tcp *net.TCPConn) (stream, greeting, *refusal) {
	conn := stream(tcp)
	if s.access.cert != "" {
		inner, refused := s.access.unwrap(tcp)
		if refused != nil {
			return tcp, greeting{}, refused
		}
		conn = inner
	}
	kind, line, err := opening(conn)
	if errors.Is(err, errGreetingTooLong) {
		return conn, greeting{}, &refusal{Error: "greeting", Message: err.Error()}
	}
	if err != nil {
		return conn, greeting{}, &refusal{}
	}
	if kind == raw {
		g := greeting{Mode: "raw", Tag: "raw"}
		if s.access.restricted() {
			return conn, greeting{}, &refusal{Error: "access", Reason: "GreetingWanted", Message: "this bridge takes no raw connections: greet it"}
		}
		return conn, g, nil
	}
	g, err := parseGreeting(line)
	if err != nil {
		return conn, greeting{}, &refusal{Error: "greeting", Message: err.Error()}
	}
	return conn, g, s.access.admits(g.Token)
}

// run serves a raw or direct connection.
func (s *server) run(conn stream, g greeting) {
	if s.pipes || s.warmth.size > 0 {
		s.pump(conn, g)
		return
	}
	s.handOver(conn, g)
}

// turnAway closes a connection, with the reason for those who speak the protocol.
func (s *server) turnAway(conn stream, g greeting, r refusal) {
	if r.Error == "" || g.Mode == "raw" {
		_ = conn.Close()
		return
	}
	refuse(conn, s.refused(r))
}

// refused counts a refusal on its way out.
func (s *server) refused(r refusal) refusal {
	s.counters.refuse(r.Error)
	return r
}

// junk logs a line of stdout that is no message; a server that prints there still works.
func (s *server) junk(p *process, line []byte) {
	s.counters.junk.Add(1)
	s.log.line(p.tail.label(p.pid)+" stdout, no message", string(line), &p.tail.junk)
}

// checkReferences finds out whether the command could start now, without starting it.
func (s *server) checkReferences() {
	env := buildEnvironment(os.Environ(), s.env, s.refs)
	_, err := lookPath(expand(s.command[0], env.values), env.list())
	digest := s.board.digest(env)
	before, _ := s.board.read()
	var failure *refusal
	if err != nil {
		failure = startRefusal(err)
	} else if before.Failure != nil && before.References == digest {
		failure = before.Failure // found by a real start: only a change of the environment or a good start clears it
	}
	same := failure.same(before.Failure)
	if same && before.References == digest && slices.Equal(before.Missing, env.missing) {
		return
	}
	if len(env.missing) > 0 {
		s.log.printf("missing references: %v", env.missing)
	}
	if failure != nil && !same {
		s.log.printf("cannot start: %s: %s", failure.Reason, failure.Message)
	}
	s.board.update(func(st *state) {
		st.References, st.Failure = digest, failure
		st.Missing = append([]string{}, env.missing...)
	})
	s.warmth.discard("changed")
}

func (s *server) pollReferences() {
	for range time.Tick(referencesInterval) {
		s.checkReferences()
	}
}

// drain lets the gateway decide: while it watches, processes live until it lets go of them or the deadline comes.
func (s *server) drain(stops <-chan os.Signal) {
	wait := s.drainTimeout
	if !s.board.watched() {
		wait = 0
	}
	close(s.draining) // first: who reads the news must find it true
	s.board.update(func(st *state) { st.Draining, st.deadline = true, time.Now().Add(wait) })
	deadline := time.After(wait)
	for s.nursery.count() > 0 || s.telling.Load() > 0 { // what has been let in may only be starting
		_, changed := s.board.read()
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond): // the last exit may have been announced before the read
		case <-deadline:
			close(s.deadline)
			s.endSessions()
			deadline = nil
		case <-stops:
			for _, p := range s.nursery.all() {
				p.blame("drain")
				p.signalGroup(syscall.SIGKILL)
			}
		}
	}
	s.letNoticesOut()
}

// letNoticesOut waits for the last lines to clients: for reports of ends, which a busy machine may delay, and for a moment for the
// connections themselves, of which those that watch stay.
func (s *server) letNoticesOut() {
	untilZero(&s.telling, 5*time.Second)
	untilZero(&s.open, time.Second)
}

func untilZero(count *atomic.Int64, most time.Duration) {
	for deadline := time.Now().Add(most); count.Load() != 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}
