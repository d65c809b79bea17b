package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// The library's ConsumerGroup is not used: a member that is closed while it waits
// for the others cannot leave, since it forgot its id, so they wait for its
// session to end; its balancers move partitions without need; and after any error,
// such as the first one of a new cluster (the coordinator's topic is being made),
// it waits 5 s by default. So this is the group protocol on the library's Client:
// https://kafka.apache.org/protocol.html#protocol_messages

// protocolName is the way partitions are given out (assign.go). All members of a
// group must know it.
const protocolName = "portcullis-sticky-1"

// rebalanceTimeout is how long the others wait for a member to finish its work
// when partitions move; then it is out.
const rebalanceTimeout = 30 * time.Second

// Generation is a time during which the partitions of a group stay with their
// members.
type Generation struct {
	ID         int32            // grows
	Partitions map[string][]int // ours, by topic without prefix; empty where others have all

	member *member
	id     string // of the member
}

// ErrLost says that the group went on without this member: its partitions may
// belong to others.
var ErrLost = errors.New("kafka: the group went on without us: another process has our partitions")

// member is one member of a group; its goroutine alone uses it, but for what
// Generation's methods read.
type member struct {
	*Client
	group    string // in full
	protocol string
	topics   []string
	id       string
	last     *Generation // what we had last, to claim again
	trouble  kafkanet.Trouble
}

// Join is a member of a consumer group until ctx ends, and leaves it then. For
// each generation it calls on, whose context ends when partitions are about to
// move, or when they may have moved because no broker was reached within the
// session timeout. on must return soon then, having saved its work: up to 30 s the
// others wait for it, and no member has partitions meanwhile. Signs of life are
// sent as long as on takes. Where on returns by itself, the partitions stay ours
// without being worked on.
//
// What fails is tried again for as long as it takes. Join returns the error of
// ctx, or what no repeat can mend. A topic's partitions beyond the layout are not
// given out.
func (c *Client) Join(ctx context.Context, group string, topics []string, on func(ctx context.Context, g *Generation)) error {
	m := &member{Client: c, group: c.Group(group), protocol: protocolName}
	for _, t := range topics {
		m.topics = append(m.topics, c.Topic(t))
	}
	m.trouble = kafkanet.Trouble{Log: c.log, Down: "kafka: the group cannot be joined", Up: "kafka: the group is joined", Args: []any{"group", m.group}}
	defer m.leave(ctx)
	pause := kafkanet.Pause{First: 50 * time.Millisecond, Last: time.Second}
	began := time.Now()
	for ctx.Err() == nil {
		g, err := m.join(ctx)
		switch {
		case err == nil:
			m.trouble.Well(kafkanet.Everywhere)
			pause.Reset()
			m.serve(ctx, g, on)
			began = time.Now()
			continue
		case errors.Is(err, kafkago.MemberIDRequired): // which we have now
			continue
		case errors.Is(err, kafkago.RebalanceInProgress), errors.Is(err, kafkago.IllegalGeneration):
		case errors.Is(err, kafkago.UnknownMemberId):
			m.id = ""
		case errors.Is(err, kafkago.InvalidSessionTimeout):
			return fmt.Errorf("kafka: the broker allows no session timeout of %s (set kafka.session_timeout from its group.min.session.timeout.ms to its group.max.session.timeout.ms)", c.cfg.SessionTimeout)
		case errors.Is(err, kafkago.InconsistentGroupProtocol):
			return fmt.Errorf("kafka: group %s has members of another kind (is portcullis kafka rescale at work? start again when it is done; else choose another kafka.prefix, or stop the consumers that use the group)", m.group)
		case starting(err) && time.Since(began) < quiet:
		default:
			m.trouble.Say(ctx, kafkanet.Everywhere, c.problem(topics[0], err))
		}
		kafkanet.Sleep(ctx, pause.Next())
	}
	return ctx.Err()
}

// quiet is how long a coordinator may take to be there before it is said.
const quiet = 5 * time.Second

// starting says whether an error is that of a coordinator that is moving, or that
// the group's first member has called into being.
func starting(err error) bool {
	return errors.Is(err, kafkago.GroupCoordinatorNotAvailable) || errors.Is(err, kafkago.NotCoordinatorForGroup) || errors.Is(err, kafkago.GroupLoadInProgress)
}

// patient is a client whose requests may take as long as a rebalance.
func (c *Client) patient() *kafkago.Client {
	client := c.link.Client
	client.Timeout = rebalanceTimeout + kafkanet.Patience
	return &client
}

// join joins a generation.
func (m *member) join(ctx context.Context) (*Generation, error) {
	sub := kafkago.GroupProtocolSubscription{Topics: m.topics, UserData: []byte{0, 0, 0, 0}}
	if m.last != nil {
		binary.BigEndian.PutUint32(sub.UserData, uint32(m.last.ID))
		sub.OwnedPartitions = map[string][]int{}
		for t, list := range m.last.Partitions {
			sub.OwnedPartitions[m.Topic(t)] = list
		}
	}
	joined, err := m.patient().JoinGroup(ctx, &kafkago.JoinGroupRequest{
		GroupID: m.group, MemberID: m.id, ProtocolType: "consumer",
		SessionTimeout: m.cfg.SessionTimeout, RebalanceTimeout: rebalanceTimeout,
		Protocols: []kafkago.GroupProtocol{{Name: m.protocol, Metadata: sub}},
	})
	if err != nil {
		return nil, err
	}
	if joined.MemberID != "" {
		m.id = joined.MemberID
	}
	if joined.Error != nil {
		return nil, joined.Error
	}
	sync := &kafkago.SyncGroupRequest{
		GroupID: m.group, GenerationID: joined.GenerationID, MemberID: m.id,
		ProtocolType: "consumer", ProtocolName: m.protocol,
	}
	if joined.LeaderID == m.id {
		if sync.Assignments, err = m.share(ctx, joined.Members); err != nil {
			return nil, err
		}
	}
	synced, err := m.patient().SyncGroup(ctx, sync)
	if errors.Is(err, io.ErrUnexpectedEOF) { // the library reads our share before the error that says there is none
		err = kafkago.RebalanceInProgress
	}
	if err == nil {
		err = synced.Error
	}
	if err != nil {
		return nil, err
	}
	g := &Generation{ID: int32(joined.GenerationID), Partitions: map[string][]int{}, member: m, id: m.id}
	for t, list := range synced.Assignment.AssignedPartitions {
		slices.Sort(list)
		g.Partitions[m.short(t)] = list
	}
	return g, nil
}

// short is a topic's name without the prefix.
func (c *Client) short(topic string) string { return topic[min(len(c.cfg.Prefix)+1, len(topic)):] }

// share gives out the partitions: one member, the leader, does it for all.
func (m *member) share(ctx context.Context, members []kafkago.JoinGroupResponseMember) (out []kafkago.SyncGroupRequestAssignment, err error) {
	var all []candidate
	partitions := map[string][]int{}
	for _, one := range members {
		c := candidate{id: one.ID, topics: one.Metadata.Topics, owned: one.Metadata.OwnedPartitions}
		if len(one.Metadata.UserData) == 4 {
			c.generation = int32(binary.BigEndian.Uint32(one.Metadata.UserData))
		}
		all = append(all, c)
		for _, t := range c.topics {
			if partitions[t] == nil {
				if partitions[t], err = m.used(ctx, t); err != nil {
					return nil, err
				}
			}
		}
	}
	for id, topics := range assign(all, partitions) {
		out = append(out, kafkago.SyncGroupRequestAssignment{MemberID: id, Assignment: kafkago.GroupProtocolAssignment{AssignedPartitions: topics}})
	}
	return out, nil
}

// used lists the partitions of a topic that are used: those of the layout.
func (c *Client) used(ctx context.Context, topic string) ([]int, error) {
	ids, err := c.link.Partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	limit := len(ids)
	switch l := c.Layout(); c.short(topic) {
	case Access:
		limit = l.Partitions
	case Partials:
		limit = l.Wide
	case Findings:
		limit = FindingsPartitions
	case Decisions, Alerts, Rejected:
		limit = 1
	}
	if limit > 0 && len(ids) > limit {
		ids = ids[:limit]
	}
	return ids, nil
}

// serve lets on work and sends signs of life, until the generation ended and on
// returned.
func (m *member) serve(ctx context.Context, g *Generation, on func(context.Context, *Generation)) {
	working, end := context.WithCancel(ctx)
	defer end()
	m.last = g
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		on(working, g)
	}()
	done := (<-chan struct{})(returned)
	ticker := time.NewTicker(max(m.cfg.SessionTimeout/12, 50*time.Millisecond))
	defer ticker.Stop()
	alive := time.Now() // last sign of life that was answered
	for done != nil || working.Err() == nil {
		over := working.Done()
		if working.Err() != nil { // signs of life go on until on returns
			over = nil
		}
		select {
		case <-done:
			done = nil
			continue
		case <-over:
			continue
		case <-ticker.C:
		}
		asked := time.Now()
		err := g.Check(context.WithoutCancel(ctx))
		switch {
		case err == nil:
			alive = asked
		case errors.Is(err, kafkago.RebalanceInProgress):
			alive = asked
			end()
		case errors.Is(err, ErrLost):
			m.lost(err)
			end()
		case time.Since(alive) > m.cfg.SessionTimeout:
			end()
		}
	}
}

// lost forgets what the group has taken from us.
func (m *member) lost(err error) {
	m.last = nil
	if errors.Is(err, kafkago.UnknownMemberId) {
		m.id = ""
	}
}

// leave lets the others have our partitions at once.
func (m *member) leave(ctx context.Context) {
	if m.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, err := m.link.Client.LeaveGroup(ctx, &kafkago.LeaveGroupRequest{GroupID: m.group, Members: []kafkago.LeaveGroupRequestMember{{ID: m.id}}})
	if err != nil {
		m.log.Warn("kafka: the group could not be left in good order; the others take over after the session timeout",
			"group", m.group, "error", err.Error(), "hint", "nothing is lost")
	}
}

// Check asks the group's coordinator whether this generation still holds. nil and
// RebalanceInProgress say that no other member had our partitions when it
// answered; ErrLost that one may have had.
func (g *Generation) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(g.member.cfg.SessionTimeout/3, time.Second))
	defer cancel()
	return fenced(g.member.heartbeat(ctx, g.member.group, g.id, g.ID))
}

// fenced adds ErrLost where an error says so.
func fenced(err error) error {
	if errors.Is(err, kafkago.IllegalGeneration) || errors.Is(err, kafkago.UnknownMemberId) || errors.Is(err, kafkago.FencedInstanceID) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// Commit notes in the group the offset to go on from, by partition, for tools that
// show its lag and for who has no snapshot. ErrLost: the generation is over, and
// nothing was noted.
func (g *Generation) Commit(ctx context.Context, topic string, offsets map[int]int64) error {
	name := g.member.Topic(topic)
	var list []kafkago.OffsetCommit
	for p, offset := range offsets {
		list = append(list, kafkago.OffsetCommit{Partition: p, Offset: offset})
	}
	answer, err := g.member.link.Client.OffsetCommit(ctx, &kafkago.OffsetCommitRequest{
		GroupID: g.member.group, GenerationID: int(g.ID), MemberID: g.id, Topics: map[string][]kafkago.OffsetCommit{name: list},
	})
	if err != nil {
		return fmt.Errorf("kafka: commit: %w", err)
	}
	for _, one := range answer.Topics[name] {
		if one.Error != nil {
			return fmt.Errorf("kafka: commit: %w", fenced(one.Error))
		}
	}
	return nil
}

// Committed reads what was noted in a group for a topic; partitions without a
// note are missing.
func (c *Client) Committed(ctx context.Context, group, topic string) (map[int]int64, error) {
	name := c.Topic(topic)
	ids, err := c.used(ctx, name)
	if err != nil {
		return nil, c.explain(topic, err)
	}
	answer, err := c.link.Client.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: c.Group(group), Topics: map[string][]int{name: ids}})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return nil, c.explain(topic, err)
	}
	out := map[int]int64{}
	for _, p := range answer.Topics[name] {
		if p.Error != nil {
			return nil, c.explain(topic, p.Error)
		}
		if p.CommittedOffset >= 0 {
			out[p.Partition] = p.CommittedOffset
		}
	}
	return out, nil
}
