package retention

import (
	"testing"
	"time"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestEvents(t *testing.T) {
	type event struct {
		e  Event
		at string
	}
	for name, c := range map[string]struct {
		events []event
		want   string
	}{
		"deposit":                       {[]event{{Sealed, "2026-05-06T07:08:09Z"}}, "2031-05-07T00:00:00Z"},
		"deposit at midnight":           {[]event{{Sealed, "2026-05-06T00:00:00Z"}}, "2031-05-07T00:00:00Z"},
		"leap day":                      {[]event{{Sealed, "2028-02-29T12:00:00Z"}}, "2033-03-02T00:00:00Z"},
		"another zone":                  {[]event{{Sealed, "2026-05-06T23:30:00-02:00"}}, "2031-05-08T00:00:00Z"},
		"a report later":                {[]event{{Sealed, "2026-05-06T07:08:09Z"}, {Reported, "2027-01-01T01:00:00Z"}}, "2032-01-02T00:00:00Z"},
		"the latest counts":             {[]event{{Sealed, "2026-05-06T07:08:09Z"}, {Read, "2029-01-01T01:00:00Z"}, {Reported, "2027-01-01T01:00:00Z"}}, "2034-01-02T00:00:00Z"},
		"clock set back":                {[]event{{Sealed, "2026-05-06T07:08:09Z"}, {Read, "2026-08-01T01:00:00Z"}, {Read, "2020-01-01T00:00:00Z"}}, "2031-08-02T00:00:00Z"},
		"an event before the deposit":   {[]event{{Sealed, "2026-05-06T07:08:09Z"}, {Read, "2020-01-01T00:00:00Z"}}, "2031-05-07T00:00:00Z"},
		"the same day again":            {[]event{{Read, "2026-05-06T07:00:00Z"}, {Read, "2026-05-06T23:59:59Z"}}, "2031-05-07T00:00:00Z"},
		"midnight, then later that day": {[]event{{Read, "2026-05-06T00:00:00Z"}, {Read, "2026-05-06T12:00:00Z"}}, "2031-05-07T00:00:00Z"},
		"the day after":                 {[]event{{Read, "2026-05-06T23:59:59Z"}, {Read, "2026-05-07T00:00:01Z"}}, "2031-05-08T00:00:00Z"},
	} {
		clock := Clock{Years: DefaultYears}
		for _, e := range c.events {
			before := clock.Until
			if clock = clock.After(e.e, at(e.at)); clock.Until.Before(before) {
				t.Errorf("%s: %s at %s shortened %s to %s", name, e.e, e.at, before, clock.Until)
			}
		}
		if !clock.Until.Equal(at(c.want)) {
			t.Errorf("%s: until %s, want %s", name, clock.Until.Format(time.RFC3339), c.want)
		}
	}
}

func TestAClockIsAValue(t *testing.T) {
	first := New(at("2026-05-06T07:08:09Z"))
	second := first.After(Read, at("2027-05-06T07:08:09Z"))
	if _, changed := first.Last[Read]; changed || first.Until.Equal(second.Until) {
		t.Errorf("the former clock became %v", first)
	}
}

func TestLonger(t *testing.T) {
	sealed := New(at("2026-05-06T07:08:09Z"))
	now := at("2026-06-01T00:00:00Z")
	for name, c := range map[string]struct {
		turn func(Clock) (Clock, error)
		want string // the end, or nothing for an error of the kind
		kind fault.Kind
	}{
		"more years":       {func(c Clock) (Clock, error) { return c.ForYears(10) }, "2036-05-07T00:00:00Z", 0},
		"as many years":    {func(c Clock) (Clock, error) { return c.ForYears(5) }, "2031-05-07T00:00:00Z", 0},
		"fewer years":      {func(c Clock) (Clock, error) { return c.ForYears(4) }, "", fault.Precondition},
		"no years":         {func(c Clock) (Clock, error) { return c.ForYears(0) }, "", fault.Invalid},
		"too many years":   {func(c Clock) (Clock, error) { return c.ForYears(101) }, "", fault.Invalid},
		"a later date":     {func(c Clock) (Clock, error) { return c.UntilAtLeast(at("2040-01-01T10:00:00Z"), now) }, "2040-01-02T00:00:00Z", 0},
		"the same date":    {func(c Clock) (Clock, error) { return c.UntilAtLeast(at("2031-05-07T00:00:00Z"), now) }, "2031-05-07T00:00:00Z", 0},
		"an earlier date":  {func(c Clock) (Clock, error) { return c.UntilAtLeast(at("2031-05-06T00:00:00Z"), now) }, "", fault.Precondition},
		"beyond all sense": {func(c Clock) (Clock, error) { return c.UntilAtLeast(at("2926-01-01T00:00:00Z"), now) }, "", fault.Invalid},
		"years after a date": {func(c Clock) (Clock, error) {
			c, err := c.UntilAtLeast(at("2050-01-01T00:00:00Z"), now)
			if err != nil {
				return c, err
			}
			return c.ForYears(6)
		}, "2050-01-01T00:00:00Z", 0},
		"an event after a date": {func(c Clock) (Clock, error) {
			c, err := c.UntilAtLeast(at("2050-01-01T00:00:00Z"), now)
			return c.After(Read, at("2046-01-01T00:00:01Z")), err
		}, "2051-01-02T00:00:00Z", 0},
	} {
		got, err := c.turn(sealed)
		switch {
		case c.want == "" && !fault.Is(err, c.kind):
			t.Errorf("%s: error %v, want kind %d", name, err, c.kind)
		case c.want == "" && !got.Until.Equal(sealed.Until):
			t.Errorf("%s: refused, and until became %s", name, got.Until)
		case c.want != "" && (err != nil || !got.Until.Equal(at(c.want))):
			t.Errorf("%s: until %s (%v), want %s", name, got.Until.Format(time.RFC3339), err, c.want)
		}
	}
}
