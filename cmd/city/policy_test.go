package city_test

import (
	"testing"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/fault"
)

func TestProfiles(t *testing.T) {
	got, err := city.Profiles(map[string]string{"system_server": "longest=90d", "firm": "direct", "citizen": ""})
	if err != nil || got[profile.SystemServer].Longest == 0 || got[profile.Firm].Approval != profile.Direct {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = city.Profiles(map[string]string{"firm": "keys=Ed25519", "mayor": "", "document": "life=1d", "officer": "usual=1d"})
	var paths []string
	for _, p := range fault.Problems(err) {
		paths = append(paths, p.Path)
	}
	if len(paths) != 3 || paths[0] != "profiles.document" || paths[1] != "profiles.firm" || paths[2] != "profiles.mayor" {
		t.Errorf("%v names %q", err, paths)
	}
}
