package main

import (
	"testing"
	"time"
)

var start = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func crash(b *breaker, now time.Time, times int) {
	for range times {
		b.ended(now, time.Second, false, exitReport{Code: 3})
	}
}

func TestFiveCrashesInARowOpenTheBreakerAndEachFurtherCrashDoublesTheWait(t *testing.T) {
	b := newBreaker(100, start)
	crash(b, start, crashLimit-1)
	if b.allow(start) != nil {
		t.Fatal("open too early")
	}
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		crash(b, start, 1)
		r := b.allow(start.Add(wait*time.Second - time.Millisecond))
		if r == nil || r.Error != "backoff" || r.Exit.Code != 3 {
			t.Fatalf("wait %d: %+v", wait, r)
		}
		if r := b.allow(start.Add(wait * time.Second)); r != nil {
			t.Fatalf("still open after %d: %+v", wait, r)
		}
	}
}

func TestAProcessThatWroteLivedOrExitedWith0ClosesTheBreaker(t *testing.T) {
	for name, end := range map[string]func(b *breaker){
		"it wrote":      func(b *breaker) { b.ended(start, time.Second, true, exitReport{Code: 1}) },
		"it lived":      func(b *breaker) { b.ended(start, crashWindow, false, exitReport{Code: 1}) },
		"it ended well": func(b *breaker) { b.ended(start, 0, false, exitReport{}) },
	} {
		b := newBreaker(100, start)
		crash(b, start, 20)
		end(b)
		if b.allow(start) != nil {
			t.Error(name)
		}
	}
}

func TestAProcessThatTheBridgeEndedIsNotACrash(t *testing.T) {
	b := newBreaker(100, start)
	for range 20 {
		b.ended(start, 0, false, exitReport{Code: 137, Ended: "released"})
	}
	if b.allow(start) != nil {
		t.Fatal("open")
	}
}

func TestStartsOverTheRateAreRefused(t *testing.T) {
	b := newBreaker(10, start)
	for range 10 {
		if b.allow(start) != nil {
			t.Fatal("the burst is less than the starts of one second")
		}
	}
	if r := b.allow(start); r == nil || r.Reason != "StartRate" {
		t.Fatalf("%+v", r)
	}
	if b.allow(start.Add(100*time.Millisecond)) != nil {
		t.Fatal("no refill")
	}
}
