/// A small XML document as a tree: names without prefixes, text, children. Strict: every tag is closed by its own name, one root, text in UTF-8.
struct XMLElement: Sendable {
    private(set) var name: String
    private(set) var text = ""
    private(set) var children: [XMLElement] = []

    /// How deep elements may lie and how many there may be: a page of a listing has about ten thousand, four deep.
    private static let depthMax = 16
    private static let elementsMax = 200_000

    /// Reads a whole document. Throws for anything that is cut short, not well formed, or beyond the limits above.
    init(document: [UInt8]) throws(XMLFault) {
        var scanner = XMLScanner(document)
        var open: [(element: XMLElement, text: [UInt8])] = []
        var root: XMLElement?
        var count = 0
        func close(_ closed: (element: XMLElement, text: [UInt8])) throws(XMLFault) {
            var element = closed.element
            guard let text = String(validating: closed.text, as: UTF8.self) else { throw XMLFault(reason: "its text is not UTF-8") }
            element.text = text
            if open.isEmpty { root = element } else { open[open.count - 1].element.children.append(element) }
        }
        while let token = try scanner.next() {
            switch token {
            case .text(let run):
                if open.isEmpty {
                    // A byte order mark and white space may stand outside the root.
                    guard run.allSatisfy({ $0 <= 0x20 || [0xEF, 0xBB, 0xBF].contains($0) }) else { throw XMLFault(reason: "it has text outside its root") }
                } else {
                    open[open.count - 1].text += run
                }
            case .open(let name, let isEmpty):
                count += 1
                guard root == nil else { throw XMLFault(reason: "it has more than one root") }
                guard open.count < XMLElement.depthMax, count <= XMLElement.elementsMax else { throw XMLFault(reason: "it has too many elements") }
                if isEmpty { try close((XMLElement(name: name), [])) } else { open.append((XMLElement(name: name), [])) }
            case .close(let name):
                guard let last = open.popLast(), last.element.name == name else { throw XMLFault(reason: "</\(name)> closes nothing") }
                try close(last)
            }
        }
        guard let root, open.isEmpty else { throw XMLFault(reason: "it ends too early, or is no XML") }
        self = root
    }

    private init(name: String) { self.name = name }

    /// The text of the only child of that name; nil where there is none, or several.
    func text(of name: String) -> String? {
        let found = children.filter { $0.name == name }
        return found.count == 1 ? found[0].text : nil
    }
}
