package main

import "testing"

func TestTypicalIsTheMedianOfWhatIsKnown(t *testing.T) {
	var f footprint
	if got := f.typical(nil); got != 0 {
		t.Fatalf("nothing is known: %d", got)
	}
	for range footprintPeaks {
		f.note(1000)
	}
	for range footprintPeaks {
		f.note(60)
	}
	if got := f.typical([]uint64{50, 70, 900}); got != 60 {
		t.Fatalf("typical is %d", got)
	}
}

func TestRoomIsLeftForWhatYoungProcessesWillTake(t *testing.T) {
	for name, c := range map[string]struct {
		used, typical uint64
		sizes         []uint64
		want          bool
	}{
		"enough":            {used: 500, typical: 100, sizes: []uint64{100, 100}, want: true},
		"one is too many":   {used: 801, typical: 100, sizes: []uint64{100}, want: false},
		"the young will":    {used: 500, typical: 100, sizes: []uint64{10, 10, 10, 10}, want: false},
		"a large neighbour": {used: 700, typical: 100, sizes: []uint64{500, 100}, want: true},
		"nothing is known":  {used: 899, typical: 0, sizes: []uint64{10}, want: true},
		"the guard's limit": {used: 901, typical: 0, sizes: []uint64{10}, want: false},
	} {
		if got := hasRoom(c.used, 1000, c.typical, c.sizes); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
