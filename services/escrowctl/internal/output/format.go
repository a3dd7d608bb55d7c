package output

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Time writes a time to the second in UTC, "" for none.
func Time(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

// Bytes writes a number of bytes in binary units.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n)/unit, 0
	for value >= unit && i < 4 {
		value /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[i])
}

// Enum writes an enum's value without the enum's name before it.
func Enum(value fmt.Stringer, prefix string) string {
	s := strings.TrimPrefix(value.String(), prefix)
	if s == "UNSPECIFIED" {
		return ""
	}
	return s
}

// ID returns the last part of a resource name.
func ID(name string) string { return name[strings.LastIndex(name, "/")+1:] }

// Release writes a release's resource name the short way: product/version.
func Release(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) != 6 {
		return Clean(name)
	}
	return Clean(parts[3] + "/" + parts[5])
}
