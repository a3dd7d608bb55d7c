package tlog

import (
	"flag"
	"io"
	"sync"

	"k8s.io/klog/v2"
)

// quieten keeps Tessera's progress reports off the terminal; what it warns of still goes to standard error. Its logger is one
// for the whole process and is set before it is used.
var quieten = sync.OnceFunc(func() {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	for name, value := range map[string]string{"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "WARNING"} {
		if err := flags.Set(name, value); err != nil {
			panic(err) // these flags are constants
		}
	}
	klog.SetOutput(io.Discard)
})
