package kafka

import (
	"cmp"
	"maps"
	"slices"
)

// candidate is a member of a group when partitions are given out.
type candidate struct {
	id         string
	topics     []string
	owned      map[string][]int // in the last generation it was in
	generation int32            // that one; what older ones say of a partition counts less
}

// assign gives each partition to one member. Of each topic the members have the
// same number, give or take one, and as much as possible stays where it was: a
// partition that moves costs the loading of its snapshot.
func assign(members []candidate, partitions map[string][]int) map[string]map[string][]int {
	out := map[string]map[string][]int{}
	total := map[string]int{}
	slices.SortFunc(members, func(a, b candidate) int { return cmp.Compare(a.id, b.id) })
	for _, m := range members {
		out[m.id] = map[string][]int{}
	}
	for _, topic := range slices.Sorted(maps.Keys(partitions)) {
		var in []candidate
		for _, m := range members {
			if slices.Contains(m.topics, topic) {
				in = append(in, m)
			}
		}
		if len(in) == 0 {
			continue
		}
		for id, list := range assignTopic(in, topic, partitions[topic], total) {
			slices.Sort(list)
			out[id][topic] = list
			total[id] += len(list)
		}
	}
	return out
}

// assignTopic does one topic. total is what the members have of others.
func assignTopic(in []candidate, topic string, partitions []int, total map[string]int) map[string][]int {
	claims, free := claimed(in, topic, partitions)
	share, extra := len(partitions)/len(in), len(partitions)%len(in)
	quota := map[string]int{}
	grant := func(who []candidate) {
		for _, m := range who {
			if extra > 0 && quota[m.id] == share {
				quota[m.id]++
				extra--
			}
		}
	}
	var more []candidate // who has more than its share keeps one of it
	for _, m := range in {
		quota[m.id] = share
		if len(claims[m.id]) > share {
			more = append(more, m)
		}
	}
	grant(more)
	fewest := slices.Clone(in)
	slices.SortStableFunc(fewest, func(a, b candidate) int { return cmp.Compare(total[a.id], total[b.id]) })
	grant(fewest)
	out := map[string][]int{}
	for _, m := range in {
		keep := min(len(claims[m.id]), quota[m.id])
		out[m.id] = slices.Clone(claims[m.id][:keep])
		free = append(free, claims[m.id][keep:]...)
	}
	slices.Sort(free)
	for _, m := range in {
		n := min(quota[m.id]-len(out[m.id]), len(free))
		out[m.id], free = append(out[m.id], free[:n]...), free[n:]
	}
	return out
}

// claimed says which member had which partitions last, and which nobody had.
func claimed(in []candidate, topic string, partitions []int) (claims map[string][]int, free []int) {
	claims = map[string][]int{}
	for _, p := range partitions {
		owner := -1
		for i, m := range in {
			if slices.Contains(m.owned[topic], p) && (owner < 0 || m.generation > in[owner].generation) {
				owner = i
			}
		}
		if owner < 0 {
			free = append(free, p)
		} else {
			claims[in[owner].id] = append(claims[in[owner].id], p)
		}
	}
	return claims, free
}
