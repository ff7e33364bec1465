"""得, 过 and 为, whose readings hang on what part the words around them play.

After 现代汉语词典 (得 dé, děi, ·de; 过 guò, ·guo; 为 wéi, wèi) and 现代汉语八百词. 得 is de5 between a predicate and
its complement (跑得快), dei3 between what is spoken about and what has to be done (你得去), de2 before what somebody
gets (得三分). 过 is guo5 behind a verb for what has been done or lived through (看过书), guo4 for a way or an end
(穿过马路, 超过) and by itself (过马路). 为 is wei4 before whom or what something is done for (为公司工作), wei2 for
what is or becomes.
The segmenter knows one part of speech a word, and often the wrong one: lists here name those it has wrong.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from kelong_speech.text.pinyin import Syllable
from kelong_speech.text.segment import Word

DE: Final = Syllable("de", 5)
_DEI: Final = Syllable("dei", 3)
_GET: Final = Syllable("de", 2)
_GUO: Final = Syllable("guo", 5)
_FULL_GUO: Final = Syllable("guo", 4)
_NOTHING: Final = Word("", "")


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# 得 with these is a word for getting something, listed in a dictionary or not: 得到, 得奖, 得以.
_GOT: Final = frozenset("奖病救胜到出以于知分利名失宜宠悉来标益票闲住成免主令便济民")
# What is within reach with 得, listed or not: 听得见, 赶得及, 办得到.
_REACHED: Final = frozenset("见到上下及去来起开住动慌")
# What can follow the 得 of getting: 得了奖, 得过奖, 得不到.
_AFTER_GETTING: Final = frozenset("了到过出以着不")
# What one gets: 得奖, 得金牌, 得肝炎.
_PRIZE: Final = re.compile(r"(?:[奖病癌炎症瘤票分金银铜第]|感冒|流感|冠军|亚军|季军|[金银铜]牌|实惠|天下|人心|民心)")
_NEVER_PAUSING: Final = frozenset(("不断", "不停", "不时", "不得不"))
# Verbs of getting, whose 得 is de2 whatever follows: 求得谅解.
_GETTING: Final = frozenset("求征摘捧购换测查讨谋觅募录竞收赚挣分夺争博赢获取领选采捕始已暂易自渐兼均共各皆仅所应")
# Nouns of one character of which something can be asked; of others many are verbs as well: 病得厉害, 气得发抖.
_TOPICS: Final = frozenset("人事钱饭车水书家菜药话店票房路爸妈哥姐弟妹爷奶叔姨我你他她它")
# Adverbs of one character before 得 as a verb: 还得等. Behind 已, 才 or 各 one gets something.
_ADVERBS: Final = frozenset("还都也就可总必又先真")
# Predicates that the segmenter takes for nouns, names or adverbs: 生气得跳起来, 安静得能听见.
_PREDICATES: Final = _set("""
    生气 客气 热情 伤心 布置 规划 总结 整理 形容 礼貌 疼痛 规矩 计划 精神 小气 大方 寂静 和气 整齐 陌生 亲热 吃惊 美丽
    明白 安静 高兴 富有 舒服 健康 老实 诚实 自然 平静 清楚 仔细 细致 认真 努力
    要说
""")
# Verbs and adjectives that take no complement with 得, because they have an object in them or a clause behind them.
_NO_COMPLEMENT: Final = _set("""
    可能 应该 看来 听说 据说 以为 认为 觉得 是 要是 不是 就是 还是 肯定 估计 想必 恐怕 说明
    上班 下班 上课 下课 上学 放学 开会 吃饭 做饭 睡觉 起床 开车 坐车 打车 停车 出门 回家 看病 住院 洗澡 洗手 结婚
    考试 上网 过年 搬家 出国 出差 请假 购物 买房 租房 买票 排队 旅游 旅行 做人 做事 办事 说话 写字 读书 看书 走路
    跑步 游泳 跳舞 唱歌 打球 上台 上车 下车 登机 退货 付款 存款 取款 贷款 投资 养狗 养猫 种地 干活
""")
# What can only be a part of a duty: 吃饭得先洗手, 干活得赶紧.
_DUTIFUL: Final = _set("先 赶紧 赶快 赶忙 尽快 尽早 立即 立刻 马上 尽量 按 按照 亲自 重新 注意 早点 早点儿 快点儿")
# Duties that the segmenter takes for nouns.
_TASK: Final = re.compile(r"小心|注意|好好.|把.|坐.|慢慢.|[快早晚]点|多[^少久长大远高重宽深么]|少.")
_EITHER: Final = re.compile(r"(.)不\1")  # 写得好不好
_DEGREES: Final = _set("很 太 更 最 挺 真 极 好 特别 非常 比较 相当 十分 如此 有点 有些 越来越 过于")
_FOR_SO_LONG: Final = re.compile(
    r"[一二两三四五六七八九十百千万几半好]+[多几]?(?:个(?![第]))?[半多]?"
    r"(?:人|小时|钟头|月(?!奖)|星期|礼拜|天|年|分钟|秒|周|公里|[里米趟斤]|辆|台)|多少|多久|多长|多大|多远|多高|多重|几[个天年]"
)


class Tools(NamedTuple):
    """What is known of a word by itself: whether a dictionary lists it, whether it is a verb."""

    knows: Callable[[str], bool]
    is_verb: Callable[[str], bool]


Settled = tuple[int, Syllable] | None
"""A place in a word and its reading; None where the word or a model knows better."""


def de(words: Sequence[Word], index: int, tools: Tools) -> Settled:
    """What the 得 in a word of a phrase is."""
    text, tag = words[index]
    if text == "得":
        reading = _between(words, index, words[index + 1 :], tools)
        return reading and (0, reading)
    if len(text) == 3 and text[1] == "得" and text[0] not in "不所" and text[2] in _REACHED:
        return 1, DE
    if tools.knows(text):
        return None
    if len(text) == 2 and text[0] == "得" and tag == "v":
        if text[1] in _GOT:
            return 0, _GET
        reading = _between(words, index, (Word(text[1], "v"), *words[index + 1 :]), tools)
        return reading and (0, reading)
    if len(text) == 3 and text[1] == "得" and tag in ("v", "l"):
        return 1, DE
    if len(text) == 2 and text[1] == "得" and index + 1 < len(words) and words[index + 1].text[0] not in "了到":
        if text[0] in _ADVERBS:
            return 1, _DEI
        if tag == "v" and text[0] not in _GETTING:
            return 1, _DEI if words[index + 1].text in _DUTIFUL else DE
    return None


def _between(words: Sequence[Word], index: int, following: Sequence[Word], tools: Tools) -> Syllable | None:
    before = words[index - 1] if index else _NOTHING
    after, rest = following[0] if following else _NOTHING, "".join(word.text for word in following)
    if not rest or (rest[0] in _AFTER_GETTING and after.text not in _NEVER_PAUSING):
        is_complement = rest[:1] == "不" and bool(before.text) and not _is_topic(before, tools)
        return DE if is_complement else None
    if not _is_topic(before, tools) or _EITHER.match(rest):
        if after.text in _DUTIFUL:
            return _DEI
        is_certain = words[index].text == "得" and before.tag not in ("c", "d", "t")
        is_certain = is_certain or before.text in _PREDICATES or before.tag[:1] in ("v", "a")
        return DE if is_certain else None
    if _PRIZE.match(after.text) or (after.tag[:1] == "n" and _PRIZE.search(after.text)):
        return _GET
    if _FOR_SO_LONG.match(rest):
        return _DEI
    if after.tag[:1] == "m" and rest[0] != "多":
        return _GET if before.tag in ("r", "nr") else None
    return _DEI if _is_task(before, after, rest, tools) else None


def _is_topic(before: Word, tools: Tools) -> bool:
    """Whether a duty can follow, not a complement: a subject, a time or an adverb stands there, or nothing at all."""
    text, tag = before
    if text in _PREDICATES:
        return False
    if text in _NO_COMPLEMENT or tag in ("", "r", "t", "c", "s", "uj", "ul"):
        return True
    if len(text) == 1:
        return text in _ADVERBS or (text in _TOPICS and tag != "v")
    if tag == "nr":
        return text[0] in "小老阿" or not tools.knows(text)
    if tag == "v":
        return len(text) > 2  # 做生意得讲信用: an object is in it
    return tag in ("n", "ns", "nz", "d", "f", "mq", "l") or (tag == "m" and text[-1] in "人个次天位年")


def _is_task(before: Word, after: Word, rest: str, tools: Tools) -> bool:
    text, tag = after
    verbal = tag[:1] in "vpdli" or tag in ("ad", "r", "t", "u", "zg") or bool(_TASK.match(rest))
    verbal = verbal or (tag[:1] == "n" and len(text) > 2 and tools.is_verb(text[0]))  # 坐火车
    if before.tag in ("r", "t", "c") or before.text in _NO_COMPLEMENT:
        return verbal or tag[:1] not in ("n", "x", "y") or len(text) == 1
    of_degree = text in _DEGREES or (text in ("这么", "那么") and not verbal)
    return not of_degree and (verbal or (before.tag == "d" and tag[:1] not in ("n", "x", "y")))


# 过 behind these is a way, a bound or an end and keeps its tone: 穿过, 转过身, 胜过, 熬过.
_OVER: Final = frozenset(
    "穿越跨渡度翻绕掠闪划飞跃躲转流漫涉横驶飘透略放胜超逃瞒骗迈错熬挺递接滑擦拐扭侧掉混溜钻闯夺抢捱强赛经通路淌蹚拂射驰晃回举伸不得莫"
)
# Behind these it is a way, unless it is told as something lived through.
_WALKS: Final = frozenset("走跑爬游跳冲挤")
_LIVED: Final = re.compile(r"没|曾|未|从来|以前|过去")
_TIMES: Final = re.compile(r"[一二两三四五六七八九十几好多数]+[次回遍趟]")
# Verbs that the segmenter takes for something else: 结过婚, 当过兵.
_VERBS: Final = frozenset("结当学画问记喝穿")
# Verbs behind which 过 is the verb itself: 要过马路, 来过年.
_LEADING: Final = _set("""
    要 会 能 可以 应该 打算 准备 需要 必须 敢 肯 愿意 希望 继续 开始 想要 可能 能够 应 该
    不能 不会 不敢 不想 不要 让 使 请
""")
_SPENT: Final = re.compile(
    r"(?:什么样的|怎样的|这样的|那样的|这种|那种)?(?:着|得|马路|年|节|日子|生活|生日|河|桥|江|街|夜|冬|周末|圣诞|中秋|春节|好|苦|一会|[几一两三][天年])"
)


def guo(words: Sequence[Word], index: int, tools: Tools) -> Settled:
    """What the 过 in a word of a phrase is."""
    text, tag = words[index]
    rest = "".join(word.text for word in words[index + 1 :])
    if text == "过":
        before = words[index - 1] if index else _NOTHING
        return 0, _GUO if _is_lived(words[:index], before, rest) else _FULL_GUO
    place = text.find("过", 1)
    if place < 0 or len(text) > 3 or tools.knows(text) or tools.knows(text[place:]) or tag in ("nr", "d"):
        return None
    verb, behind = text[:place], text[place + 1 :]
    if behind in ("去", "来") or (len(text) == 3 and not tools.is_verb(verb[-1]) and verb[-1] not in _VERBS):
        return None
    is_way = verb[-1] in _OVER or (verb[-1] in _WALKS and not _is_told(words[:index], verb[:-1], behind + rest))
    return place, _FULL_GUO if is_way else _GUO


def _is_lived(earlier: Sequence[Word], before: Word, rest: str) -> bool:
    if before.text in ("想", "喜欢", "来", "去", "得"):
        return not _SPENT.match(rest)
    if before.text in _LEADING or before.text[-1:] in _OVER:
        return False
    if before.text in _WALKS:
        return _is_told(earlier, "", rest)
    if rest.startswith("得"):
        return False
    if before.tag[:1] in ("v", "a", "z", "i", "l") or before.text in _PREDICATES:
        return True
    # Nouns that are verbs as well are told by an adverb, by their end or by the end of the phrase: 还主演过, 产下过.
    if len(before.text) < 2 or before.tag[:1] != "n" or _SPENT.match(rest):
        return False
    behind_adverb = len(earlier) > 1 and earlier[-2].tag == "d"
    return behind_adverb or before.text[-1] in "下出到成" or not rest or _is_told(earlier, "", rest)


def _is_told(earlier: Sequence[Word], verb: str, rest: str) -> bool:
    return bool(_LIVED.search("".join(word.text for word in earlier) + verb) or _TIMES.match(rest))


_FOR: Final = Syllable("wei", 4)
# 为 is "as" behind these, however far: 以他为榜样, 化悲痛为力量.
_FRAMES: Final = _set("""
    以 视 称 选 拜 化 变 改 列 定 评 封 立 译 誉 尊 奉 推 升 转 设 分 命名 改名 更名 聘 任命 推举 评选
""")
# Verbs before which one does something for somebody; behind other verbs 为 is what becomes: 选为, 改名为.
_WILLING: Final = _set("""
    要 想 愿 愿意 肯 会 能 可以 应该 应当 必须 需要 是 去 来 请 就是 都是 得 决心 准备 打算 希望 不会 不能 不要 不是
    用来
""")
_IN_VAIN: Final = _set("不要 别 不用 不必 何必 甭")
_RATHER: Final = frozenset("更极较最甚颇尤大广本原")
# 为 is "by" before these: 为人民爱戴.
_BY_OTHERS: Final = _set("喜爱 熟知 称道 称赞 爱戴 诟病 欢迎 熟悉 重视 误解 推崇 传颂 知")
# What is done for somebody, even if a 的 comes after it: 为市民提供休息的地方.
_GIVING: Final = _set("提供 带来 做 作 创造 准备 服务 打开 买 送 开 节省 增添 解决 加油 献 写 找 建 修")
_LONGEST_BENEFICIARY: Final = 6  # words


def wei(words: Sequence[Word], index: int, tools: Tools) -> Settled:
    """wei4 for a 为 that says for whom or what something is done: 他为公司工作.

    What tells it from 为 as "is" (队长为张伟) is a verb behind the noun.
    """
    text = words[index].text
    before = words[index - 1] if index and text == "为" else Word(text[:-1], "v")
    willing = before.text in _WILLING or before.tag[:1] != "v"
    if text[-1] != "为" or not before.text or not willing or before.tag[:1] in "amqu" or before.text in _RATHER:
        return None
    following = words[index + 1 :]
    if any(word.text in _FRAMES for word in words[:index]) or any(word.text == "所" for word in following):
        return None
    helps = (before.text in _IN_VAIN and bool(following)) or _is_help(before, following, tools)
    return (len(text) - 1, _FOR) if helps else None


def _is_help(before: Word, following: Sequence[Word], tools: Tools) -> bool:
    is_person = before.text[0] in "我你您他她它咱谁这那" or before.text in ("大家", "自己", "别人")
    for place, word in enumerate(following[: _LONGEST_BENEFICIARY + 1]):
        text, tag = word
        behind = following[place + 1].tag if place + 1 < len(following) else "ul"
        is_done = behind in ("ul", "uz", "ug", "i", "l")  # with 了, 着 or 过, or the last word of the phrase
        is_noun = tag == "vn" and not is_done
        if (tag[:1] in ("v", "l", "i") and not is_noun) or (place and len(text) > 2 and tools.is_verb(text[0])):
            gives = text in _GIVING or (is_done and all(later.text != "的" for later in following[place:]))
            by_adverb = before.tag == "d" or before.text in _WILLING
            return (is_person or (place > 0 and (gives or by_adverb))) and text not in _BY_OTHERS
        is_part = tag[:1] in "nrmqbatdfj" or is_noun or text == "的"
        if not is_part or (not place and tag[:1] == "m" and not is_person):  # 面积为三平方公里
            return False
    return False
