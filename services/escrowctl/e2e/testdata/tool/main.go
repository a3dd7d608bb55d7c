// Command tool is a toolchain of one program, so small that a rebuild takes no time: it writes a file in upper case.
package main

import (
	"bytes"
	"fmt"
	"os"
)

func main() {
	in, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], bytes.ToUpper(in), 0o644)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
