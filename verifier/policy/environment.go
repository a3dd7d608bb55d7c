package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/finding"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Limits on the shape of one program, far above what a policy for people has.
const (
	maxParseDepth  = 64
	maxLoopNesting = 4
)

// The functions that policies have beyond CEL's own.
const (
	countriesMatching = "countriesMatching"
	verdictOf         = "verdictOf"
)

// The types of a policy's input. docs/policy.md describes each field.
var (
	releaseKind   = newKind("release", str("product", product), str("version", nil), str("vendor", organization))
	evaluatorKind = newKind("evaluator", str("name", organization), str("country", country))
	signatureKind = newKind("signature", str("outcome", outcome), texts("anchors"),
		namedField{name: "files", celType: types.NewListType(signedFileKind.celType)},
		namedField{name: "signatures", celType: types.NewListType(oneSignatureKind.celType)})
	signedFileKind   = newKind("signedFile", str("role", role), str("name", nil), str("digest", nil), texts("anchors"))
	oneSignatureKind = newKind("oneSignature", str("kind", nil), boolean("valid"), str("anchor", nil), str("signer", nil), str("keyId", nil),
		texts("covers"), namedField{name: "time", celType: types.TimestampType}, str("timeBy", nil))
	sourceKind      = newKind("source", str("outcome", outcome), texts("trees"))
	environmentKind = newKind("environment", str("outcome", outcome), str("image", nil))
	verdictKind     = newKind("verdict", str("verdict", verdict), str("rebuilder", organization), str("country", country), boolean("own"))
	artifactKind    = newKind("artifact", str("path", nil), str("platform", nil),
		namedField{name: "verdicts", celType: types.NewListType(verdictKind.celType)})
	rebuildKind = newKind("rebuild", str("rebuilder", organization), str("country", country), boolean("own"),
		str("state", state), str("outcome", outcome))
)

func str(name string, check func(string) error) namedField {
	return namedField{name: name, celType: types.StringType, check: check}
}

func texts(name string) namedField {
	return namedField{name: name, celType: types.NewListType(types.StringType)}
}

func boolean(name string) namedField { return namedField{name: name, celType: types.BoolType} }

// newEnvironment returns what programs are compiled against. It is made once: it never changes, and making it is slow.
var newEnvironment = sync.OnceValues(func() (*cel.Env, error) {
	p, err := newProvider(releaseKind, evaluatorKind, signatureKind, signedFileKind, oneSignatureKind, sourceKind, environmentKind, verdictKind, artifactKind, rebuildKind)
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(
		cel.CustomTypeProvider(p), cel.CustomTypeAdapter(p),
		cel.Variable("release", releaseKind.celType),
		cel.Variable("evaluator", evaluatorKind.celType),
		cel.Variable("signature", signatureKind.celType),
		cel.Variable("source", sourceKind.celType),
		cel.Variable("environment", environmentKind.celType),
		cel.Variable("artifacts", types.NewListType(artifactKind.celType)),
		cel.Variable("rebuilds", types.NewListType(rebuildKind.celType)),
		cel.Variable("now", types.TimestampType),
		cel.Function(countriesMatching, cel.Overload("countries_matching_artifact",
			[]*cel.Type{artifactKind.celType}, cel.IntType, cel.UnaryBinding(countCountries))),
		cel.Function(verdictOf, cel.Overload("verdict_of_artifact_rebuild",
			[]*cel.Type{artifactKind.celType, rebuildKind.celType}, cel.StringType, cel.BinaryBinding(findVerdict))),
		cel.ParserRecursionLimit(maxParseDepth),
		cel.ParserExpressionSizeLimit(MaxExpressionBytes),
		cel.ASTValidators(
			literalValidator{},
			cel.ValidateComprehensionNestingLimit(maxLoopNesting),
			cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
		),
	)
})

// unknownCountry is the code that ISO 3166-1 leaves to its users and that stands for a country nobody has told.
const unknownCountry = types.String("ZZ")

// countCountries counts the different countries whose rebuild of an artifact gave MATCH. An unknown country counts for none.
func countCountries(artifact ref.Val) ref.Val {
	var countries []ref.Val
	for it := verdictsOf(artifact).Iterator(); it.HasNext() == types.True; {
		v := it.Next().(*object)
		c := v.values[verdictKind.fields["country"].index]
		if v.values[verdictKind.fields["verdict"].index] == types.String(finding.Match) && isSet(c) && c != unknownCountry && !slices.Contains(countries, c) {
			countries = append(countries, c)
		}
	}
	return types.Int(len(countries))
}

// findVerdict returns the verdict on an artifact by the rebuilder of a rebuild, "" where there is none.
func findVerdict(artifact, rebuild ref.Val) ref.Val {
	by := rebuild.(*object).values[rebuildKind.fields["rebuilder"].index]
	for it := verdictsOf(artifact).Iterator(); it.HasNext() == types.True; {
		v := it.Next().(*object)
		if v.values[verdictKind.fields["rebuilder"].index] == by {
			return v.values[verdictKind.fields["verdict"].index]
		}
	}
	return types.String("")
}

func verdictsOf(artifact ref.Val) traits.Lister {
	return artifact.(*object).values[artifactKind.fields["verdicts"].index].(traits.Lister)
}

// callCost charges the functions above for what they walk over.
type callCost struct{}

// CallCost returns the cost of a call of ours, nil for CEL's own.
func (callCost) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	if function != countriesMatching && function != verdictOf {
		return nil
	}
	a, ok := args[0].(*object)
	if !ok {
		return nil
	}
	n, _ := verdictsOf(a).Size().(types.Int)
	cost := uint64(n) + 1
	return &cost
}

// What literals may stand for.

var isCountry = regexp.MustCompile(`^[A-Z]{2}$`)

func country(s string) error {
	if !isCountry.MatchString(s) {
		return fmt.Errorf("%q is no country: two upper-case letters of ISO 3166-1", s)
	}
	return nil
}

func organization(s string) error { _, err := resource.ParseOrganization(s); return err }

func product(s string) error { _, err := resource.ParseProduct(s); return err }

func outcome(s string) error {
	return oneOf("outcome", s, finding.Passed, finding.Failed, finding.Undecided)
}

func role(s string) error { return oneOf("role", s, roleManifest, roleSource, roleArtifact) }

func state(s string) error { return oneOf("state", s, Waiting, Leased, Done) }

func verdict(s string) error {
	return oneOf("verdict", s, finding.Match, finding.MatchNormalized, finding.DiffersStable, finding.DiffersUnstable,
		finding.BuildFailed, finding.TimedOut, finding.ResourceExceeded, finding.NotProduced, finding.Incomplete)
}

func oneOf[T ~string](what, s string, known ...T) error {
	if slices.Contains(known, T(s)) {
		return nil
	}
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	return fmt.Errorf("%q is no %s; there are %s", s, what, strings.Join(words, ", "))
}
