package main

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	footprintPeaks = 16              // ended processes of which the memory is remembered
	grownAfter     = 2 * time.Second // a younger process that has written nothing has not taken what it will
	sayGrowth      = 1.25            // a larger footprint is announced from this factor on, so that a state does not change all the time
	roomPatience   = 3 * time.Second // for a process that is being ended to make room
)

// footprint is how much memory a process of this server takes, learned from those that run and that ran.
type footprint struct {
	mu    sync.Mutex
	peaks []uint64 // bytes
}

// note remembers the peak of a process that has ended.
func (f *footprint) note(peak uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.peaks = append(f.peaks, peak)
	if len(f.peaks) > footprintPeaks {
		f.peaks = f.peaks[1:]
	}
}

// typical is the median of the grown processes and the remembered ones, in bytes; 0 while nothing is known.
func (f *footprint) typical(grown []uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	sizes := append(slices.Clone(f.peaks), grown...)
	if len(sizes) == 0 {
		return 0
	}
	slices.Sort(sizes)
	return sizes[len(sizes)/2]
}

// hasRoom reports whether one more process fits below the guard's limit, with what the young ones will still take.
func hasRoom(used, limit, typical uint64, sizes []uint64) bool {
	needed := typical
	for _, size := range sizes {
		needed += typical - min(size, typical)
	}
	return float64(used+needed) <= guardRatio*float64(limit)
}

// memoryShort is the refusal of a process for which there is no memory. The first one is always tried.
func (s *server) memoryShort() *refusal {
	used, limit := s.memory.load()
	running := s.reaper.all()
	if limit == 0 || len(running) == 0 {
		return nil
	}
	pages := groupPages()
	var sizes, grown []uint64
	for _, p := range running {
		size := pages[p.pid] * uint64(os.Getpagesize())
		sizes = append(sizes, size)
		if time.Since(p.began) > grownAfter || p.wrote() {
			grown = append(grown, size)
		}
	}
	typical := s.footprint.typical(grown)
	s.announce(typical, limit)
	if hasRoom(used, limit, typical, sizes) {
		return nil
	}
	return &refusal{Error: "capacity", Reason: "Memory", Message: fmt.Sprintf(
		"no memory for another process: %d of %d MiB are used, %d processes run, and one takes about %d MiB",
		used>>20, limit>>20, len(running), typical>>20)}
}

// announce tells the watchers what a process takes, and of how much.
func (s *server) announce(typical, limit uint64) {
	current, _ := s.state.read()
	if float64(typical) > sayGrowth*float64(current.Memory.Process) || limit != current.Memory.Limit {
		s.state.update(func(st *state) { st.Memory = memoryState{Limit: limit, Process: typical} })
	}
}

// awaitRoom waits while a process that is being ended may make room for another one.
func (s *server) awaitRoom() {
	for deadline := time.Now().Add(roomPatience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !s.someEnding() || (s.reaper.count() < s.maxProcesses && s.memoryShort() == nil) {
			return
		}
	}
}

func (s *server) someEnding() bool {
	return slices.ContainsFunc(s.reaper.all(), (*process).ending)
}
