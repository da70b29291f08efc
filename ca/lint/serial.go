package lint

import "github.com/signet-city/signet/ca/profile"

// checkSerial: positive, and of the length that holds an instance and 136 random
// bits.
func checkSerial(c candidate) string {
	if c.SerialNumber.Sign() <= 0 || len(c.SerialNumber.Bytes()) != profile.SerialSize || c.SerialNumber.BitLen() == profile.SerialSize*8 {
		return "is not positive, or has another length than ours"
	}
	return ""
}
