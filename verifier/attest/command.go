package attest

import "strings"

// CosignCommand returns the command line by which stock cosign checks a bundle offline. Its arguments are file names, but for
// the predicate type.
func CosignCommand(bundle, trustedRoot, key, predicateType, artifact string) string {
	words := append([]string{"cosign"}, CosignArguments(bundle, trustedRoot, key, predicateType, artifact)...)
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

// CosignArguments returns what CosignCommand says, word by word, without the program.
func CosignArguments(bundle, trustedRoot, key, predicateType, artifact string) []string {
	return []string{
		"verify-blob-attestation", "--key", key, "--bundle", bundle, "--trusted-root", trustedRoot,
		"--use-signed-timestamps", "--type", predicateType, artifact,
	}
}

// quote makes a word safe in a POSIX shell.
func quote(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
