package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// launch is a child that could start: what it needs is there and there is room for it.
type launch struct {
	path      string
	argv, env []string
	tag       string
	spoke     func() bool // whether it has written anything
}

// piped is a process whose stdin and stdout are pipes, and the bridge's ends of them.
type piped struct {
	p             *process
	stdin, stdout int
	spoke         *atomic.Bool // for who reads stdout to set
}

func (s *server) prepare(tag string) (*launch, *refusal) {
	if s.isDraining() {
		return nil, &refusal{Error: "draining", Message: "this bridge is shutting down"}
	}
	if s.nursery.count() >= s.maxProcesses {
		return nil, s.tooMany()
	}
	env := buildEnvironment(os.Environ(), s.env, s.refs)
	if len(env.missing) > 0 {
		return nil, &refusal{Error: "references", Reason: "MissingReference", Message: fmt.Sprintf("missing: %v", env.missing)}
	}
	argv := make([]string, len(s.command))
	for i, arg := range s.command {
		argv[i] = expand(arg, env.values)
	}
	path, err := lookPath(argv[0], env.list())
	if err != nil {
		return nil, s.startFailed(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused := s.breaker.allow(time.Now()); refused != nil {
		return nil, refused
	}
	return &launch{path: path, argv: argv, env: env.list(), tag: tag}, nil
}

func (s *server) isDraining() bool { return isClosed(s.draining) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *server) tooMany() *refusal {
	return &refusal{Error: "capacity", Reason: "MaxProcesses",
		Message: fmt.Sprintf("%d processes run already, the most that --max-processes allows", s.maxProcesses)}
}

// start runs a prepared child with the given stdin and stdout; the descriptors stay the caller's.
func (s *server) start(l *launch, stdin, stdout int) (*process, *refusal) {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return nil, noDescriptors(err)
	}
	tail := newStderrTail(l.tag)
	p, err := s.nursery.start(l, stdin, stdout, pipe[1], tail)
	_ = syscall.Close(pipe[1])
	if err != nil {
		_ = syscall.Close(pipe[0])
		if errors.Is(err, errTooMany) {
			return nil, s.tooMany()
		}
		return nil, s.startFailed(err)
	}
	go tail.follow(pollable(pipe[0], "stderr"), p.pid, s.log)
	s.board.update(func(st *state) {
		st.Failure = nil
		st.Started++
		st.Processes = s.nursery.count()
	})
	p.whenOver(func(exit exitReport) { s.ended(p, exit) })
	return p, nil
}

// startPiped takes a warm process, or starts one.
func (s *server) startPiped(tag string) (*piped, *refusal) {
	if warm := s.warmth.take(tag); warm != nil {
		return warm, nil
	}
	l, refused := s.prepare(tag)
	if refused != nil {
		return nil, refused
	}
	return s.startWithPipes(l)
}

func (s *server) startWithPipes(l *launch) (*piped, *refusal) {
	in, out, err := twoPipes()
	if err != nil {
		return nil, noDescriptors(err)
	}
	spoke := &atomic.Bool{}
	l.spoke = spoke.Load
	p, refused := s.start(l, in[0], out[1])
	_ = syscall.Close(in[0])
	_ = syscall.Close(out[1])
	if refused != nil {
		_ = syscall.Close(in[1])
		_ = syscall.Close(out[0])
		return nil, refused
	}
	return &piped{p: p, stdin: in[1], stdout: out[0], spoke: spoke}, nil
}

func twoPipes() (in, out [2]int, err error) {
	if err = syscall.Pipe2(in[:], syscall.O_CLOEXEC); err != nil {
		return in, out, err
	}
	if err = syscall.Pipe2(out[:], syscall.O_CLOEXEC); err != nil {
		_ = syscall.Close(in[0])
		_ = syscall.Close(in[1])
	}
	return in, out, err
}

func noDescriptors(err error) *refusal {
	return &refusal{Error: "start", Reason: "EMFILE", Message: err.Error()}
}

// startFailed logs a failure once, not at each attempt.
func (s *server) startFailed(err error) *refusal {
	r := startRefusal(err)
	known := false
	s.board.update(func(st *state) { known, st.Failure = st.Failure.same(r), r })
	if !known {
		s.log.printf("cannot start: %s: %s", r.Reason, r.Message)
	}
	return r
}

func startRefusal(err error) *refusal {
	r := &refusal{Error: "start", Reason: "unknown", Message: err.Error(), Exit: &exitReport{Code: exitCannotExecute}}
	var failure *startFailure
	if errors.As(err, &failure) {
		r.Reason, r.Exit.Code = failure.reason, failure.code
	}
	return r
}

// ended is called once for each process.
func (s *server) ended(p *process, exit exitReport) {
	s.mu.Lock()
	s.breaker.ended(time.Now(), time.Since(p.began), p.worked, exit)
	s.mu.Unlock()
	if exit.OOM {
		s.counters.oomKills.Add(1)
	}
	s.board.update(func(st *state) {
		st.Exited++
		st.Processes = s.nursery.count()
		st.LastExit = &exit
	})
}
