package approval

import "context"

// ParseKey reads a SubjectPublicKeyInfo.
func ParseKey(spki []byte) (any, error) { return parseKey(spki) }

// Lease takes an approved request that nobody runs.
func (s *Service) Lease(ctx context.Context, id string) (string, error) { return s.lease(ctx, id) }

// Operation returns one of the operations.
func (s *Service) Operation(kind string) Operation { return s.operations[kind] }
