import WAL

/// How far something long has come, on one line of a terminal that is written over: share, amount, rate and time left. Where standard error is no
/// terminal, nothing. Not for two tasks at once.
struct ProgressBar {
    private let isTerminal: Bool
    private let verb: String
    /// What is counted; nil: bytes.
    private let noun: String?
    private let start = ContinuousClock.now
    private var pace = Pace()
    private var isShown = false

    /// `verb` says what is done: "restoring"; `noun` what is counted where that is not bytes: "objects".
    init(_ verb: String, counting noun: String? = nil, isTerminal: Bool = Output.error.isTerminal) {
        self.verb = verb
        self.noun = noun
        self.isTerminal = isTerminal
    }

    /// Bytes, or what is counted. May be called as often as anything moves: the line is written a few times a second.
    mutating func show(done: UInt64, total: UInt64) {
        guard isTerminal, total > 0 else { return }
        let now = (ContinuousClock.now - start) / .seconds(1)
        guard pace.note(done: done, seconds: now) || done == total else { return }
        write(ProgressBar.wipe + ProgressBar.line(verb, done: done, total: total, rate: pace.perSecond, counting: noun, columns: Output.error.columns ?? 80))
        isShown = true
    }

    /// A line of words above the bar; on anything but a terminal just the line.
    mutating func say(_ line: String) throws(WALError) {
        clear()
        try Output.error.write(line: line)
    }

    /// Takes the line away. The next `show` brings it back.
    mutating func clear() {
        if isShown { write(ProgressBar.wipe) }
        isShown = false
    }

    private func write(_ text: String) {
        do {
            try Output.error.write(Array(text.utf8))
        } catch {
            // A terminal that has gone away needs no progress; the command's own words will fail and say so.
        }
    }

    /// To the line's beginning, and what stands there taken away (ECMA-48: CR, EL).
    static let wipe = "\r\u{1B}[K"
    private static let width = 24

    /// Shorter than a terminal's line of so many characters, so that it is never wrapped: 79 are enough for all that anybody restores; on a narrower one the bar shrinks, and goes, and
    /// at last what is at the end.
    static func line(_ verb: String, done: UInt64, total: UInt64, rate: Double?, counting noun: String? = nil, columns: Int = 80) -> String {
        let done = min(done, total)
        // Of totals near 2⁶², a hundredfold still fits when it is divided first.
        let percent = total < 1 << 56 ? done * 100 / total : min(100, done / (total / 100))
        var text = "\(percent) % of \(noun.map { "\(total) \($0)" } ?? size(total))"
        if let rate, rate >= 1 {
            let whole = UInt64(min(rate, 1e15))
            text += ", \(noun == nil ? size(whole) : "\(whole)")/s, \(time(Double(total - done) / rate)) left"
        }
        let width = min(width, columns - 1 - (verb.count + text.count + 4))
        guard width >= 4 else { return String("\(verb) \(text)".prefix(max(0, columns - 1))) }
        let filled = Int(percent) * width / 100
        return "\(verb) [\(String(repeating: "#", count: filled))\(String(repeating: ".", count: width - filled))] \(text)"
    }

    /// Decimal units, three or four digits.
    static func size(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        for unit in ["B", "kB", "MB", "GB", "TB", "PB"] {
            if value < 999.5 || unit == "PB" {
                if unit == "B" || value >= 99.95 { return "\(Int(value.rounded())) \(unit)" }
                let tenths = Int((value * 10).rounded())
                return "\(tenths / 10).\(tenths % 10) \(unit)"
            }
            value /= 1000
        }
        return "\(bytes) B"
    }

    /// Hours, minutes and seconds as a clock shows them.
    static func time(_ seconds: Double) -> String {
        let total = Int(min(seconds.rounded(.up), 359_999))
        let (hours, minutes, rest) = (total / 3600, total / 60 % 60, total % 60)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
    }

    /// The rate of the last seconds, from a few samples: what it was long ago says nothing about the time left.
    struct Pace {
        private var samples: [(seconds: Double, done: UInt64)] = []

        /// Seconds between two lines, and over how many the rate is taken.
        private static let interval = 0.2
        private static let window = 10.0

        /// Whether it is time for another line. The first one is where it began, which for what is resumed is not zero.
        mutating func note(done: UInt64, seconds: Double) -> Bool {
            if let last = samples.last, seconds - last.seconds < Pace.interval { return false }
            samples.append((seconds, done))
            // One that is older stays, as long as there is none other to compare with.
            while samples.count > 2, seconds - samples[1].seconds > Pace.window { samples.removeFirst() }
            return true
        }

        /// Nil before there are two samples to compare.
        var perSecond: Double? {
            guard let first = samples.first, let last = samples.last, last.seconds > first.seconds, last.done >= first.done else { return nil }
            return Double(last.done - first.done) / (last.seconds - first.seconds)
        }
    }
}
