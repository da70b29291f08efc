package trust

import "fmt"

// State is what a verifier keeps between two updates, so that nobody can bring
// it back to an older view. The zero State has seen nothing.
type State struct {
	Root, Bundle, Snapshot Mark
}

// Mark is one object seen. Number 0 says that none was.
type Mark struct {
	Number   uint64   // version or seq
	Hash     [32]byte // of the file
	Previous [32]byte // what a bundle names as the one before it, or zero
}

// BundleState returns the state that an opened bundle and its file make.
func BundleState(file []byte, b Bundle, root RootStatement) State {
	s := State{
		Root:   Mark{Number: root.Version, Hash: Hash(b.Root)},
		Bundle: Mark{Number: b.Seq, Hash: Hash(file)},
	}
	copy(s.Bundle.Previous[:], b.Previous)
	return s
}

// HeadState returns the state that an opened head vouches for.
func HeadState(h Head) State {
	return State{
		Bundle:   Mark{Number: h.BundleSeq, Hash: h.BundleHash},
		Snapshot: Mark{Number: h.SnapshotSeq, Hash: h.SnapshotHash},
	}
}

// Accept returns the state to keep after next was verified, or refuses next: a
// number that fell is ErrRollback; an equal number with another hash, and a
// bundle that directly follows the old one but names another, are ErrFork. What
// next has not seen stays as it was.
func Accept(old, next State) (State, error) {
	root, err := accept("root statement", old.Root, next.Root)
	if err != nil {
		return old, err
	}
	bundle, err := accept("trust bundle", old.Bundle, next.Bundle)
	if err != nil {
		return old, err
	}
	snapshot, err := accept("snapshot", old.Snapshot, next.Snapshot)
	if err != nil {
		return old, err
	}
	return State{root, bundle, snapshot}, nil
}

func accept(what string, old, next Mark) (Mark, error) {
	named := next.Previous != [32]byte{}
	switch {
	case next.Number == 0:
		return old, nil
	case next.Number < old.Number:
		return old, fmt.Errorf("accept %s %d after %d: %w", what, next.Number, old.Number, ErrRollback)
	case next.Number == old.Number && next.Hash != old.Hash,
		next.Number == old.Number+1 && named && old.Number > 0 && next.Previous != old.Hash:
		return old, fmt.Errorf("accept %s %d after %d: %w", what, next.Number, old.Number, ErrFork)
	case next.Number == old.Number && !named:
		return old, nil // a head does not say what came before
	}
	return next, nil
}
