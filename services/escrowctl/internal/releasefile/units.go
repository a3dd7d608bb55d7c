package releasefile

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// seconds reads a duration as the schema has it; "" is 0, which stands for the service's default.
func seconds(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no time that can be told", s)
	}
	if d < time.Second {
		return 0, fmt.Errorf("must be at least 1s")
	}
	return int64(d / time.Second), nil
}

var units = map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

// bytesOf reads a size as the schema has it; "" is 0, which stands for the service's default.
func bytesOf(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	cut := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if cut < 1 {
		return 0, fmt.Errorf("must have a unit")
	}
	unit, ok := units[s[cut:]]
	n, err := strconv.ParseInt(s[:cut], 10, 64)
	if err != nil || !ok || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is no size that can be told", s)
	}
	if n == 0 {
		return 0, fmt.Errorf("must be more than 0")
	}
	return n * unit, nil
}
