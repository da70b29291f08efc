package attachment

import "encoding/binary"

// maxScans is how often a JPEG may go over its blocks. Cameras do it once and programs
// that save progressive pictures about ten times, while five megabytes could hold more
// than a hundred thousand scans of a few bytes, each with the whole picture to walk.
const maxScans = 64

// weighJPEG returns how many bytes for each pixel decoding what stripJPEG keeps takes. It
// fails for a picture of too many scans.
func weighJPEG(kept []byte) (each int, err error) {
	each = 4
	scans := 0
	for i := 2; i+4 <= len(kept); {
		mark, end := kept[i+1], i+2+int(binary.BigEndian.Uint16(kept[i+2:]))
		if end > len(kept) {
			return 0, ErrBroken
		}
		switch mark {
		case markSOF2:
			each += coefficients(kept[i+4 : end])
		case markSOS:
			if scans++; scans > maxScans {
				return 0, ErrBroken
			}
			end = scanEnd(kept, end)
		}
		i = end
	}
	return each, nil
}

// coefficients returns how many bytes for each pixel a progressive picture's coefficients
// take, which are all held until the last scan: four for each of a component's samples.
// frame is the header of ITU-T T.81 section B.2.2.
func coefficients(frame []byte) int {
	samples, most := 0, 1
	for i := 7; i < len(frame); i += 3 {
		h, v := int(frame[i]>>4), int(frame[i]&15)
		samples, most = samples+h*v, max(most, h*v)
	}
	return (4*samples + most - 1) / most
}
