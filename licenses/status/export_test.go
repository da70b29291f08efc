package status

// Parameter lets tests compare the parameter with every other.
var Parameter = parameter

// CodeBits returns how many bits the indices take with the parameter m.
func CodeBits(indices []uint32, m uint32) int {
	c, next, n := newCode(m), uint32(0), 0
	for _, index := range indices {
		gap := index - next
		next = index + 1
		n += int(gap/m) + 1 + int(c.width)
		if gap%m < c.short {
			n--
		}
	}
	return n
}

// Inflate lets tests read the bare lists of the draft's vectors.
var Inflate = inflate
