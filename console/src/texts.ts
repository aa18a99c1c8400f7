// Every word that the console says, in Chinese and in English, side by side. What people wrote is never translated
// and never put through here as anything but a value.
import { createContext, useContext } from 'react';

export type Language = 'zh' | 'en';

const texts = {
  product: ['灰度发布平台', 'Gray releases'],
  skip: ['跳到正文', 'Skip to content'],
  'nav.label': ['主导航', 'Main'],
  'nav.overview': ['总览', 'Overview'], 'nav.apps': ['小程序', 'Mini-programs'], 'nav.reviews': ['审核', 'Reviews'],
  'nav.experiments': ['实验', 'Experiments'], 'nav.explain': ['设备解释', 'Explain'], 'nav.fleet': ['节点', 'Fleet'], 'nav.audit': ['审计', 'Audit'],
  'nav.segments': ['人群包', 'Segments'], 'nav.admin': ['租户与人员', 'Who is who'], 'nav.settings': ['设置', 'Settings'],
  'top.language': ['English', '中文'], 'top.dark': ['深色', 'Dark'], 'top.light': ['浅色', 'Light'], 'top.signout': ['退出登录', 'Sign out'],
  'top.live': ['实时', 'Live'], 'top.silent': ['未收到实时消息', 'No live news'], 'top.revision': ['版次 {n}', 'Revision {n}'],
  'signin.title': ['登录', 'Sign in'], 'signin.token': ['令牌', 'Token'], 'signin.hint': ['令牌只发送一次，换成脚本读不到的 Cookie；页面不保存它。', 'The token is sent once and becomes a cookie that no script reads; this page keeps nothing.'],
  'signin.go': ['登录', 'Sign in'], 'signin.provider': ['用银行账号登录', 'Sign in with the bank’s account'],
  loading: ['正在读取…', 'Loading…'], 'error.title': ['没有成功', 'That did not work'], again: ['重试', 'Try again'], empty: ['没有内容', 'Nothing here'],
  cancel: ['取消', 'Cancel'], save: ['保存', 'Save'], close: ['关闭', 'Close'], more: ['更多', 'More'], remove: ['移除', 'Remove'], all: ['全部', 'All'], search: ['搜索', 'Search'], reason: ['理由', 'Reason'], 'reason.needed': ['请写明理由', 'Say why'], why: ['变更说明', 'Why'],
  'waits.title': ['已提交，等待他人同意', 'It waits for others to agree'], 'waits.text': ['还需 {n} 人同意，编号 {id}', '{n} more must agree; {id}'],
  fresh: ['此操作需要重新登录', 'This takes a fresh sign-in'],
  done: ['已生效，版次 {n}', 'In force since revision {n}'],
  'overview.title': ['总览', 'Overview'], 'overview.apps': ['小程序', 'Mini-programs'], 'overview.reviews': ['待审核版本', 'Versions to review'], 'overview.waits': ['待同意变更', 'Changes to agree on'], 'overview.killed_versions': ['已停版本', 'Stopped versions'],
  'overview.node': ['本节点', 'This node'], 'overview.latest': ['最近变更', 'Latest changes'],
  'node.ready': ['正常', 'Ready'], 'node.notready': ['未就绪', 'Not ready'], 'node.asof': ['数据时间', 'As of'],
  'standing.live': ['全量', 'Live'], 'standing.ramping': ['灰度中', 'Ramping'], 'standing.held': ['已暂停', 'Held'], 'standing.killed': ['已停用', 'Killed'], 'standing.idle': ['未发布', 'No rollout'],
  'life.draft': ['草稿', 'Draft'], 'life.submitted': ['已提交', 'Submitted'], 'life.in-review': ['审核中', 'In review'], 'life.approved': ['已通过', 'Approved'], 'life.rejected': ['已驳回', 'Rejected'], 'life.listed': ['已上架', 'Listed'], 'life.delisted': ['已下架', 'Delisted'], 'life.killed': ['已停用', 'Killed'],
  'apps.title': ['小程序', 'Mini-programs'], 'apps.name': ['名称', 'Name'], 'apps.stable': ['稳定版', 'Stable'], 'apps.versions': ['版本数', 'Versions'], 'apps.standing': ['状态', 'Standing'], 'apps.revision': ['版次', 'Revision'], 'apps.count': ['已载入 {n} 个', '{n} loaded'],
  'app.rollout': ['发布规则', 'Rollout'], 'app.versions': ['版本', 'Versions'], 'app.experiments': ['实验', 'Experiments'], 'app.timeline': ['时间线', 'Timeline'], 'app.killed': ['整个小程序已停用：{reason}', 'The whole mini-program is stopped: {reason}'], 'app.norollout': ['还没有发布规则', 'There is no rollout yet'], 'app.unkill': ['恢复运行', 'Let it run again'],
  'kill.button': ['紧急停用', 'Kill'], 'kill.title': ['紧急停用', 'Kill'], 'kill.what': ['停用什么', 'What to stop'], 'kill.whole': ['整个小程序', 'The whole mini-program'], 'kill.version': ['版本 {v}', 'Version {v}'], 'kill.confirm': ['立即停用', 'Kill now'], 'kill.warn': ['所有设备立即停止运行，无需等待数据库或其他人。', 'Every device stops; nothing and nobody is waited for.'],
  'receipt.title': ['停用回执', 'Receipt of the kill'], 'receipt.state.provisional': ['已生效，尚未入账', 'In force, not in the ledger yet'], 'receipt.state.committed': ['已生效并入账', 'In force and in the ledger'], 'receipt.state.voided': ['未成立', 'Void'], 'receipt.node': ['节点', 'Node'], 'receipt.ms': ['{n} 毫秒', '{n} ms'], 'receipt.unreached': ['未答复', 'Has not said so'], 'receipt.complete': ['此刻之后不存在有效的旧答复', 'No valid older answer exists after'], 'receipt.unknown': ['尚不能断言', 'Nobody can say yet'], 'receipt.filings': ['备案号', 'Filings'],
  'rollout.stable': ['稳定版', 'Stable version'], 'rollout.hosts': ['宿主应用', 'Host apps'], 'rollout.rule': ['规则', 'Rule'], 'rollout.add': ['添加规则', 'Add a rule'], 'rollout.name': ['规则名', 'Name'], 'rollout.audience': ['受众（JSON）', 'Audience (JSON)'], 'rollout.everyone': ['所有设备', 'Every device'], 'rollout.serve': ['提供版本', 'Serves'], 'rollout.share': ['比例', 'Share'], 'rollout.exact': ['精确比例', 'Exact share'], 'rollout.split': ['分流（JSON）', 'Split (JSON)'], 'rollout.paused': ['暂停', 'Paused'], 'rollout.up': ['上移 {name}', 'Move {name} up'], 'rollout.down': ['下移 {name}', 'Move {name} down'], 'rollout.drop': ['移除 {name}', 'Remove {name}'],
  'rollout.preview': ['预览影响', 'Preview'], 'rollout.apply': ['应用变更', 'Apply'], 'rollout.reset': ['放弃修改', 'Discard edits'], 'rollout.edited': ['有未应用的修改', 'There are edits that are not applied'], 'rollout.bad': ['不是有效的 JSON', 'Not valid JSON'], 'rollout.badshare': ['0% 到 100%，最多六位小数', '0% to 100%, six decimals at most'],
  'rollout.moved': ['别人已在版次 {n} 修改了这个小程序', 'Somebody changed this mini-program: revision {n}'], 'rollout.moved.text': ['您的修改仍在。查看差异后选择：', 'Your edits are still here. See the difference, then choose:'], 'rollout.theirs': ['采用对方版本', 'Take theirs'], 'rollout.mine': ['在对方版本上重新预览我的修改', 'Preview my edits against theirs'], 'rollout.field': ['字段', 'Field'], 'rollout.col.mine': ['我的', 'Mine'], 'rollout.col.theirs': ['对方', 'Theirs'],
  'plan.title': ['应用后的变化', 'What would move'], 'plan.before': ['之前', 'Before'], 'plan.after': ['之后', 'After'], 'plan.gained': ['新增', 'Gains'], 'plan.lost': ['减少', 'Loses'], 'plan.switched': ['换组', 'Switches arm'], 'plan.audience': ['受众已变', 'audience changed'], 'plan.reshuffled': ['重新抽样', 'drawn anew'], 'plan.none': ['没有设备会变化', 'No device moves'], 'plan.whole': ['整体（所有受众都命中的设备）', 'Over the whole walk (a device that every audience means)'], 'plan.fate.added': ['新增规则', 'new rule'], 'plan.fate.removed': ['移除规则', 'removed'], 'plan.fate.stays': ['', ''],
  'cases.title': ['规则测试（TOML）', 'Rule tests (TOML)'], 'cases.hint': ['粘贴 rollout-rules/cases 中的文件；应用前会运行。', 'Paste a file of rollout-rules/cases; it is run before applying.'], 'cases.pass': ['{n} 个测试全部通过', 'All {n} tests pass'], 'cases.fail': ['{n} 个测试失败', '{n} tests fail'],
  'version.number': ['版本', 'Version'], 'version.life': ['状态', 'Life'], 'version.size': ['大小', 'Size'], 'version.submitted': ['提交时间', 'Submitted'], 'version.list': ['上架', 'List'], 'version.delist': ['下架', 'Delist'], 'version.review': ['查看审核', 'Review'], 'version.notes': ['说明', 'Notes'],
  'timeline.by': ['由 {who}', 'by {who}'],
  'reviews.title': ['审核', 'Reviews'], 'reviews.versions': ['待审核版本', 'Versions'], 'reviews.changes': ['待同意变更', 'Changes'], 'review.begin': ['开始审核', 'Begin'], 'review.approve': ['通过', 'Approve'], 'review.reject': ['驳回', 'Reject'], 'review.permissions': ['权限差异', 'Permissions'], 'review.files': ['文件差异', 'Files'], 'review.previous': ['对比版本 {v}', 'Against version {v}'], 'review.first': ['首个版本', 'First version'], 'review.approvals': ['{n} / {of} 人通过', '{n} of {of} approvals'], 'review.same': ['{n} 个文件相同', '{n} files are the same'], 'review.stands': ['有权限阻止通过', 'A permission stands in the way'], 'review.change': ['变化', 'Change'], 'review.grade': ['级别', 'Grade'], 'review.standing': ['是否允许', 'Standing'], 'review.path': ['路径', 'Path'],
  'diff.added': ['新增', 'Added'], 'diff.removed': ['移除', 'Removed'], 'diff.changed': ['修改', 'Changed'], 'diff.same': ['相同', 'Same'],
  'change.agree': ['同意', 'Agree'], 'change.withdraw': ['撤回', 'Withdraw'], 'change.lacks': ['还需 {n} 人', '{n} more'], 'change.until': ['有效至', 'Until'],
  'experiments.title': ['A/B 实验', 'A/B tests'], 'experiment.begin': ['开始实验', 'Begin a test'], 'experiment.hint': ['先说明比较什么，再开始计数；开始后不能更改。已暂停的规则随实验一起恢复。', 'What is compared is said before anything is counted, and not changed afterwards. A paused rule goes on with it.'], 'experiment.name': ['实验名', 'Name'], 'experiment.control': ['对照组', 'Control arm'], 'experiment.measure': ['主要指标', 'Primary measure'], 'experiment.better': ['更好的方向', 'Which way is better'], 'experiment.better.more': ['越多越好', 'more is better'], 'experiment.better.less': ['越少越好', 'less is better'], 'experiment.guards': ['护栏指标', 'Guards'], 'experiment.least': ['最短时长', 'At least'], 'experiment.hypothesis': ['预期', 'Hypothesis'],
  'experiment.about': ['规则 {rule}，指标 {measure}（{better}），自 {since} 起计数，最早 {earliest} 得出结论', 'Rule {rule}, {measure} ({better}), counted since {since}, shown not before {earliest}'], 'experiment.ratio': ['各组到达比例与抽样不符（p = {p}），不要比较', 'Units do not arrive as they are drawn (p = {p}); compare nothing'], 'experiment.arm': ['分组', 'Arm'], 'experiment.units': ['设备数', 'Units'], 'experiment.events': ['事件（本组/对照）', 'Events (arm / control)'], 'experiment.mean': ['均值', 'Mean'], 'experiment.difference': ['差异', 'Difference'], 'experiment.lift': ['相对提升', 'Lift'], 'experiment.chance': ['胜出概率', 'Chance to win'], 'experiment.says': ['结论', 'Says'], 'experiment.export': ['导出 CSV', 'Export CSV'], 'experiment.end': ['结束实验', 'End the test'], 'experiment.promote': ['推广 {arm}', 'Promote {arm}'], 'experiment.anyway': ['即使实验没有证明它更好', 'Also when the test has not shown that it is better'], 'experiment.do': ['确认', 'Do it'],
  'experiment.state.running': ['进行中', 'Running'], 'experiment.state.paused': ['已暂停', 'Paused'], 'experiment.state.promoted': ['已推广', 'Promoted'], 'experiment.state.ended': ['已结束', 'Ended'],
  'experiment.verdict.unknown': ['尚不知道计数', 'Counts not known yet'], 'experiment.verdict.ratio-alarm': ['比例异常', 'Ratio alarm'], 'experiment.verdict.unfit': ['计数不可用', 'Counts unfit'], 'experiment.verdict.too-long': ['时间过长', 'Too long'], 'experiment.verdict.too-early': ['为时过早', 'Too early'], 'experiment.verdict.shown': ['已证明有差异', 'Shown'], 'experiment.verdict.not-shown': ['未证明有差异', 'Not shown'], 'experiment.verdict.running': ['尚无结论', 'Nothing shown yet'],
  'experiment.says.better': ['更好', 'better'], 'experiment.says.worse': ['更差', 'worse'], 'experiment.says.open': ['未定', 'open'], 'experiment.guard.pass': ['通过', 'pass'], 'experiment.guard.fail': ['有害', 'harm'], 'experiment.guard.inconclusive': ['未定', 'open'], 'experiment.guard.error': ['无法判断', 'cannot be judged'],
  'explain.title': ['设备解释', 'Explain a device'], 'explain.app': ['小程序（租户/名称）', 'Mini-program (tenant/app)'], 'explain.host': ['宿主应用', 'Host app'], 'explain.unit': ['设备或用户标识', 'Device or user id'], 'explain.more': ['其他属性（JSON）', 'Other attributes (JSON)'], 'explain.version': ['当前版本', 'Version it runs'], 'explain.ask': ['解释', 'Explain'], 'explain.answer': ['答复', 'Answer'], 'explain.walk': ['判断过程', 'The walk'],
  'fleet.title': ['节点', 'Fleet'], 'fleet.agrees': ['所有节点一致', 'All nodes agree'], 'fleet.differs': ['节点状态不一致', 'Nodes came to different states'], 'fleet.node': ['节点', 'Node'], 'fleet.standing': ['状态', 'Standing'], 'fleet.behind': ['落后', 'Behind'], 'fleet.heard': ['上次消息', 'Heard'], 'fleet.build': ['构建', 'Build'], 'fleet.revision': ['版次', 'Revision'], 'fleet.self': ['本节点', 'this node'], 'ms.ago': ['{n} 毫秒前', '{n} ms ago'],
  'audit.title': ['审计', 'Audit'], 'audit.app': ['只看小程序', 'Only this mini-program'], 'audit.at': ['回到版次', 'Go back to revision'], 'audit.older': ['更早', 'Older'], 'audit.newest': ['回到最新', 'Newest'], 'audit.state': ['版次 {n} 时的 {app}', '{app} at revision {n}'], 'audit.then': ['当时状态', 'As it was then'], 'audit.events': ['发生了什么', 'What happened'],
  'segments.title': ['人群包', 'Segments'], 'segments.name': ['名称', 'Name'], 'segments.units': ['成员数', 'Units'], 'segments.upload': ['上传', 'Upload'], 'segments.file': ['文件（每行一个标识）', 'File (one unit a line)'], 'segments.progress': ['上传进度', 'Upload progress'],
  'admin.title': ['租户与人员', 'Who is who'], 'admin.tenants': ['租户', 'Tenants'], 'admin.people': ['人员', 'People'], 'admin.tokens': ['令牌', 'Tokens'], 'admin.keys': ['密钥', 'Keys'], 'admin.hosts': ['宿主应用', 'Hosts'], 'admin.add': ['添加', 'Add'], 'admin.id': ['标识', 'Id'], 'admin.name': ['显示名', 'Title'], 'admin.role': ['角色', 'Role'], 'admin.note': ['备注', 'Note'], 'admin.expires': ['到期', 'Expires'], 'admin.used': ['上次使用', 'Last used'], 'admin.state': ['状态', 'State'], 'admin.revoke': ['吊销', 'Revoke'], 'admin.once': ['令牌只显示这一次', 'The token is shown this once'], 'admin.identity': ['身份', 'Identity'], 'admin.grade': ['级别', 'Grade'], 'admin.keyring': ['密钥环版本 {n}（{trust}）', 'Keyring {n} ({trust})'], 'admin.threshold': ['门限', 'Threshold'], 'admin.notyours': ['您的角色看不到这些', 'Your role does not see these'], 'admin.sandbox': ['沙箱', 'Sandbox'],
  'settings.title': ['审批设置', 'Approvals'], 'settings.approvals': ['通过一个版本需要的人数', 'Approvals of a version'], 'settings.filing': ['上架必须有备案号', 'A filing is needed to list'], 'settings.free': ['一人可提升到的比例', 'One person may raise a share up to'], 'settings.kinds': ['需要他人同意的变更', 'Changes that people agree on'], 'settings.kind': ['变更', 'Kind'], 'settings.needed': ['人数', 'Approvals'], 'settings.roles': ['角色', 'Roles'], 'settings.reviews': ['版本审核', 'Reviews of versions'],
} as const satisfies Record<string, readonly [string, string]>;

export type Key = keyof typeof texts;
type Values = Record<string, string | number>;

export function say(language: Language, key: Key, values: Values = {}): string {
  const text: string = texts[key][language === 'zh' ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

/** A word of the server's, where it is known; itself, where it is not. */
export const word = (language: Language, group: string, value: string) => (`${group}.${value}` in texts ? say(language, `${group}.${value}` as Key) : value);

export const Speaks = createContext<Language>('zh');

export function useTexts() {
  const language = useContext(Speaks);
  const locale = language === 'zh' ? 'zh-CN' : 'en-GB';
  return {
    language,
    t: (key: Key, values?: Values) => say(language, key, values),
    word: (group: string, value: string) => word(language, group, value),
    time: (text: string) => new Date(text).toLocaleString(locale, { dateStyle: 'medium', timeStyle: 'medium' }),
    number: (value: number) => value.toLocaleString(locale),
  };
}
