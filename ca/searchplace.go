package ca

import (
	"context"
	"encoding/base64"
	"fmt"
)

// A place is where a search stopped: at a certificate that was looked at and may be
// somebody else's. An agency learns nothing about others' certificates, so the places
// of a search for one agency's are sealed, for this agency alone.

func placeContext(agency string) []byte { return []byte("ca.search\x00" + agency) }

// hidePlace makes of a place what an agency is told.
func (c *CA) hidePlace(ctx context.Context, agency, place string) (string, error) {
	if agency == "" || place == "" {
		return place, nil
	}
	sealed, err := c.ring.Seal(ctx, []byte(place), placeContext(agency))
	if err != nil {
		return "", fmt.Errorf("seal place: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// showPlace is the inverse of hidePlace. It fails with errCursor for anything else.
func (c *CA) showPlace(ctx context.Context, agency, text string) (string, error) {
	if agency == "" || text == "" {
		return text, nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", errCursor
	}
	place, err := c.ring.Open(ctx, sealed, placeContext(agency))
	if err != nil {
		return "", errCursor
	}
	return string(place), nil
}
