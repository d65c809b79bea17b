package syslog

import (
	"encoding/binary"
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// overflowSpace is room for the control message with the count of drops.
const overflowSpace = 64

// tune makes the receive buffer as large as asked for where the kernel lets us,
// and has it count what it drops. It returns the size that was granted.
func tune(conn *net.UDPConn, size int) (granted int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		s := int(fd)
		if unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil { // needs CAP_NET_ADMIN
			failed = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
		}
		failed = errors.Join(failed, unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1))
		double, err := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUF)
		failed = errors.Join(failed, err)
		granted = double / 2 // socket(7): the kernel doubles it, for its bookkeeping
	})
	return granted, errors.Join(err, failed)
}

// overflowed reads from a control message how many datagrams the socket has
// dropped since it was made (SO_RXQ_OVFL, socket(7)).
func overflowed(oob []byte) (total uint32, ok bool) {
	for len(oob) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0, false
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4 {
			return binary.NativeEndian.Uint32(data), true
		}
		oob = rest
	}
	return 0, false
}
