package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// state is what a watch receives: the whole of it first, and the whole of it at each change, so that a watcher that missed a line
// is accurate after the next.
type state struct {
	Instance   string       `json:"instance"`
	Version    string       `json:"version"`
	Ready      bool         `json:"ready"`
	Draining   bool         `json:"draining"`
	Deadline   float64      `json:"deadline,omitempty"` // while draining: seconds until processes that still run are ended
	Missing    []string     `json:"missing"`
	References string       `json:"references"` // keyed digest: it changes when a value does
	Failure    *refusal     `json:"failure,omitempty"`
	Awaited    bool         `json:"awaited,omitempty"` // a gateway has to say that the server has answered, --await-answer
	Processes  int          `json:"processes"`
	Started    uint64       `json:"started"`
	Exited     uint64       `json:"exited"`
	LastExit   *exitReport  `json:"lastExit,omitempty"`
	Starting   *startNotice `json:"starting,omitempty"`
	Memory     memoryState  `json:"memory"`

	deadline time.Time
}

// memoryState is what fits: bytes, 0 where there is no limit or nothing is known.
type memoryState struct {
	Limit   uint64 `json:"limit"`
	Process uint64 `json:"process"` // what one process takes, about
}

// stateStore holds the state and notifies the watchers.
type stateStore struct {
	mu      sync.Mutex
	id      string
	current state
	changed chan struct{}
	key     []byte
	watches int
}

func newStateStore() *stateStore {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand aborts the program instead
	id := hex.EncodeToString(key[:8])
	return &stateStore{
		id: id, current: state{Instance: id, Version: version, Missing: []string{}},
		changed: make(chan struct{}), key: key[8:],
	}
}

// update applies f and notifies the watchers.
func (b *stateStore) update(f func(*state)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.current)
	s := &b.current
	s.Ready = !s.Draining && s.Failure == nil && len(s.Missing) == 0 && !s.Awaited
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *stateStore) read() (state, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.current
	if current.Draining {
		current.Deadline = max(0, time.Until(current.deadline).Round(time.Millisecond).Seconds())
	}
	return current, b.changed
}

// instance identifies this run of the bridge: it is different after a restart.
func (b *stateStore) instance() string { return b.id }

func (b *stateStore) watch(delta int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watches += delta
}

func (b *stateStore) watched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watches > 0
}

// digest is equal for equal environments and reveals no value: its key never leaves this process.
func (b *stateStore) digest(env *environment) string {
	h := sha256.New()
	h.Write(b.key)
	for _, line := range append(env.list(), env.folders...) {
		h.Write([]byte(line))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
