import Testing

@testable import walshipd

@Suite struct RecordSplitterTests {
    /// Gives `input` to a splitter in pieces that end where the bits of `cuts` say, as a feed would: what was handed out moves away.
    private func split(_ input: [UInt8], cuts: Int, format: RecordFormat, max: Int) -> (records: [[UInt8]], last: RecordSplitter.Step) {
        var splitter = RecordSplitter(format: format, maxRecordSize: max)
        var buffer: [UInt8] = []
        var start = 0
        var records: [[UInt8]] = []
        for index in 0...input.count {
            let isEnd = index == input.count
            if !isEnd { buffer.append(input[index]) }
            guard isEnd || cuts & (1 << index) != 0 else { continue }
            stepping: while true {
                let step = splitter.next(in: buffer.span, from: start, isEnd: isEnd)
                switch step {
                case .record(let range, let next):
                    records.append(Array(buffer[range]))
                    start = next
                case .incomplete(let needed):
                    #expect(needed > buffer.count - start, "it asks for more than there is")
                    break stepping
                case .tooLong, .end, .cut: return (records, step)
                }
            }
            buffer.removeFirst(start)
            start = 0
        }
        Issue.record("the end of the input was not noticed")
        return (records, .end)
    }

    @Test(arguments: ["", "\n", "a", "a\n", "\n\na", "ab\n\nc\nde", "abc\nabc\n"])
    func linesDoNotDependOnHowTheyArrive(_ text: String) {
        var expected = text.split(separator: "\n", omittingEmptySubsequences: false).map { Array($0.utf8) }
        if expected.last == [] { expected.removeLast() }
        for cuts in 0..<(1 << text.utf8.count) {
            let (records, last) = split(Array(text.utf8), cuts: cuts, format: .lines, max: 3)
            #expect(records == expected, "cuts \(cuts)")
            #expect(last == .end, "cuts \(cuts)")
        }
    }

    @Test func framesDoNotDependOnHowTheyArrive() {
        let input: [UInt8] = [2, 0, 0, 0, 10, 10, 0, 0, 0, 0, 1, 0, 0, 0, 7]
        for cuts in 0..<(1 << input.count) {
            let (records, last) = split(input, cuts: cuts, format: .framed, max: 2)
            #expect(records == [[10, 10], [], [7]], "cuts \(cuts)")
            #expect(last == .end, "cuts \(cuts)")
        }
    }

    @Test func aCutFrameIsToldAfterAllBeforeIt() {
        let input: [UInt8] = [1, 0, 0, 0, 9, 3, 0, 0, 0, 1, 2]
        for cuts in 0..<(1 << input.count) {
            let (records, last) = split(input, cuts: cuts, format: .framed, max: 8)
            #expect(records == [[9]] && last == .cut(present: 2, claimed: 3), "cuts \(cuts)")
        }
        for length in 1...3 {
            let (records, last) = split([UInt8](repeating: 0, count: length), cuts: 0, format: .framed, max: 8)
            #expect(records.isEmpty && last == .cut(present: length, claimed: nil))
        }
    }

    @Test func aRecordThatIsTooLongEndsTheInput() {
        for cuts in 0..<(1 << 7) {
            let (records, last) = split(Array("a\nabcd\n".utf8), cuts: cuts, format: .lines, max: 3)
            #expect(records == [[UInt8(ascii: "a")]] && last == .tooLong(4), "cuts \(cuts)")
        }
        let (records, last) = split([255, 255, 255, 255, 1], cuts: 0, format: .framed, max: 3)
        #expect(records.isEmpty && last == .tooLong(Int(UInt32.max)))
    }
}
