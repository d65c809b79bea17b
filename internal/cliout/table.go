package cliout

import (
	"bufio"
	"io"
	"strings"
)

// Column is one column of a table.
type Column struct {
	Title string
	Right bool               // aligned to the right, for numbers
	Keep  bool               // never cut to fit the terminal, for ids
	Paint func(string) Color // colour by value; nil = none
}

// maxCell caps a cell whatever the width, so that no value floods the output.
const maxCell = 512

// gap separates columns.
const gap = 2

// Table collects rows and writes them aligned. It is for as many rows as a
// person reads: it keeps them all until Flush. Every cell goes through Safe.
type Table struct {
	w       io.Writer
	style   Style
	columns []Column
	rows    [][]string
}

// NewTable returns a table that Flush writes to w.
func NewTable(w io.Writer, style Style, columns ...Column) *Table {
	return &Table{w: w, style: style, columns: columns}
}

// Row adds a row; missing cells are empty, cells too many are dropped.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.columns))
	for i := range min(len(cells), len(row)) {
		row[i] = Safe(cells[i], maxCell)
	}
	t.rows = append(t.rows, row)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Flush writes the titles and the rows, and forgets the rows.
func (t *Table) Flush() error {
	widths := t.widths()
	b := bufio.NewWriter(t.w)
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.Title
	}
	t.line(b, titles, widths, func(int, string) Color { return Bold })
	for _, row := range t.rows {
		t.line(b, row, widths, func(i int, s string) Color {
			if p := t.columns[i].Paint; p != nil {
				return p(s)
			}
			return Plain
		})
	}
	t.rows = nil
	return b.Flush()
}

// line writes one row without blanks at its end.
func (t *Table) line(b *bufio.Writer, row []string, widths []int, paint func(int, string) Color) {
	blanks := 0
	for i, cell := range row {
		shown := Safe(cell, widths[i])
		if widths[i] == 0 {
			shown = ""
		}
		pad := widths[i] - Width(shown)
		if t.columns[i].Right {
			blanks, pad = blanks+pad, 0
		}
		if shown != "" {
			b.WriteString(strings.Repeat(" ", blanks))
			b.WriteString(t.style.Paint(paint(i, cell), shown))
			blanks = 0
		}
		blanks += pad + gap
	}
	b.WriteByte('\n')
}

// widths are the columns' widths: what the cells need, the widest ones cut until
// the line fits the terminal.
func (t *Table) widths() []int {
	const least = 6 // what a cut column keeps
	widths := make([]int, len(t.columns))
	total := gap * (len(widths) - 1)
	for i, c := range t.columns {
		widths[i] = Width(c.Title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], Width(row[i]))
		}
		total += widths[i]
	}
	for t.style.Width > 0 && total > t.style.Width {
		widest := -1
		for i := range widths {
			if !t.columns[i].Keep && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	return widths
}
