package openpgp

// Caps on what comes from outside. The library underneath has none of its own.
const (
	// MaxBytes is the longest signature file, clear-signed texts included.
	MaxBytes = 256 << 10

	maxSignatures     = 16   // in one signature file
	maxCertificates   = 64   // in one key ring
	maxSubkeys        = 32   // of one certificate
	maxUserIDs        = 64   // of one certificate
	maxUserID         = 2048 // bytes of one, as gpg has it
	maxSelfSignatures = 2048 // of one key ring: each costs a verification at worst
	maxPackets        = 8192 // of one key ring: certificates from key servers have thousands of signatures by others
	maxArmourLine     = 1024 // bytes: the armour's reader is quadratic in the length of a header line
	maxKeyBits        = 8192 // the time for a verification grows with the square

	minDSABits      = 2048
	maxDSABits      = 4096
	minDSAOrderBits = 224
	maxDSAOrderBits = 256
	minRSABits      = 1024 // below, nothing verifies; see proof.MinRSABits for what is weak
)
