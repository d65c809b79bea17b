//go:build !linux

package syslog

import "net"

// overflowSpace is nothing: only Linux tells what a socket dropped.
const overflowSpace = 0

// tune asks for a receive buffer; what is granted cannot be told.
func tune(conn *net.UDPConn, size int) (granted int, err error) {
	return size, conn.SetReadBuffer(size)
}

func overflowed([]byte) (total uint32, ok bool) { return 0, false }
