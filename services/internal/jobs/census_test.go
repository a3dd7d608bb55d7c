package jobs

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCensus(t *testing.T) {
	type reading struct {
		at     int // seconds
		beats  map[string]int64
		others []string
		gone   string
	}
	for name, readings := range map[string][]reading{
		"all live": {{0, map[string]int64{"a": 1, "b": 1}, nil, ""}, {10, map[string]int64{"a": 2, "b": 5}, nil, ""}, {20, map[string]int64{"a": 3, "b": 6}, nil, ""}},
		"one stands still": {{0, map[string]int64{"a": 1, "b": 1}, nil, ""}, {10, map[string]int64{"a": 2, "b": 1}, nil, ""},
			{15, map[string]int64{"a": 3, "b": 1}, nil, "b"}},
		"it goes on in time": {{0, map[string]int64{"b": 1}, nil, ""}, {14, map[string]int64{"b": 1}, nil, ""}, {18, map[string]int64{"b": 2}, nil, ""},
			{32, map[string]int64{"b": 2}, nil, ""}, {33, map[string]int64{"b": 2}, nil, "b"}},
		"one is not on the list": {{0, nil, []string{"x"}, ""}, {10, nil, []string{"x"}, ""}, {15, nil, []string{"x"}, "x"}},
		"one comes onto it":      {{0, nil, []string{"x"}, ""}, {10, map[string]int64{"x": 1}, []string{"x"}, ""}, {20, map[string]int64{"x": 1}, nil, ""}},
		"the looker slept":       {{0, map[string]int64{"b": 1}, nil, ""}, {600, map[string]int64{"b": 1}, nil, ""}, {610, map[string]int64{"b": 2}, nil, ""}},
		"nobody asks any more":   {{0, nil, []string{"x"}, ""}, {10, nil, nil, ""}, {20, nil, []string{"x"}, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var c census
			start := time.Now()
			for _, r := range readings {
				gone := c.take(start.Add(time.Duration(r.at)*time.Second), r.beats, r.others, 20*time.Second, 15*time.Second)
				if got := strings.Join(slices.Sorted(maps.Keys(gone)), " "); got != r.gone {
					t.Errorf("after %d s %q are gone, want %q", r.at, got, r.gone)
				}
			}
		})
	}
}
