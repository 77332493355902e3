/// The names of a segment's files: its index in twenty decimal digits, and an ending.
package struct SegmentName: Hashable, Sendable {
    package let index: UInt64

    package init(index: UInt64) { self.index = index }

    /// The segment of a file called `<index>.wal`; nil for any other name.
    package init?(fileName: String) { self.init(fileName, ending: ".wal") }

    /// The segment of a file called `<index>.times`; nil for any other name.
    package init?(timesName: String) { self.init(timesName, ending: ".times") }

    package var fileName: String { Decimal20.text(index) + ".wal" }
    package var timesName: String { Decimal20.text(index) + ".times" }

    private init?(_ name: String, ending: String) {
        // The least segment size allows the greatest index; compare with the log's own (`segmentIndexMax`) as well.
        let indexMax = FormatLimits.segmentIndexMax(segmentSize: FormatLimits.segmentSizes.lowerBound)
        guard name.hasSuffix(ending), let index = Decimal20.value(name.dropLast(ending.utf8.count)), index <= indexMax
        else { return nil }
        self.index = index
    }
}
