package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// organizations are those of every script: two vendors and two labs.
var organizations = [][3]string{{"acme", "vendor", "SE"}, {"rival", "vendor", "NO"}, {"lab-fi", "evaluator", "FI"}, {"lab-jp", "evaluator", "JP"}}

// world enrols the organizations, each with a profile of its id, and registers the vendor's key and product; it packs the
// source, builds the environment and lays the artifact that the recipe makes of them.
func world(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: world")
	}
	ctl := func(args ...string) { ts.Check(ts.Exec("escrowctl", args...)) }
	for _, o := range organizations {
		join(ts, false, o[:])
	}
	ctl("key", "generate", "--out", "release.key")
	ctl("--profile", "acme", "trust-anchor", "add", "--key", "release.key.pub")
	ctl("--profile", "acme", "product", "create", "widget")
	ctl("environment", "build", "--folder", ts.Getenv("TOOL")+"=/bin/tool", "--out", "env.oci.tar")
	ts.Check(os.MkdirAll(ts.MkAbs("src"), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs("src/in.txt"), []byte("hello"), 0o644))
	ts.Check(ts.Exec("tar", "-C", ts.MkAbs("src"), "-cf", ts.MkAbs("src.tar"), "in.txt"))
	ts.Check(os.WriteFile(ts.MkAbs("widget"), []byte("HELLO"), 0o644))
}

// join ID KIND COUNTRY enrols an organization, with a profile of its id.
func join(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: join ID KIND COUNTRY")
	}
	ts.Check(ts.Exec("escrowctl", "--profile", ts.Getenv("OPERATOR"), "organization", "create", args[0], "--kind", args[1], "--country", args[2]))
	ts.Check(ts.Exec("escrowctl", "enrol", "--address", ts.Getenv("ADDRESS"), "--ca", ts.MkAbs("data/operator/ca.pem"),
		"--token", enrolmentToken(ts, args[0]), "--profile", args[0]))
}

func enrolmentToken(ts *testscript.TestScript, org string) string {
	ts.Check(ts.Exec("escrowctl", "--profile", ts.Getenv("OPERATOR"), "--output", "json", "enrol", "token", "--organization", org, "--member", "admin"))
	var answer struct{ Token, Command string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &answer))
	if answer.Token == "" || answer.Command == "" {
		ts.Fatalf("no token in %+v", answer)
	}
	return answer.Token
}

// fill FILE MIB writes a file of that size that cannot be compressed, the same each time.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FILE MIB")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, n<<20)
	if _, err := rand.New(rand.NewSource(1)).Read(b); err != nil {
		ts.Check(fmt.Errorf("filling: %w", err))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}
