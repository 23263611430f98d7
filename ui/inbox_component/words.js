// What the inbox says, in English and Chinese, and how times are said. `{name}` is filled in.

const WORDS = {
  inbox: ["Inbox", "收件箱"],
  queue: ["Queue", "待接入"],
  mine: ["Mine", "我的会话"],
  all: ["All", "全部"],
  you_are: ["Your presence", "我的状态"],
  online: ["Online", "在线"],
  away: ["Away", "离开"],
  offline: ["Offline", "离线"],
  agents_there: ["{count} online", "{count} 人在线"],
  nothing_queue: ["Nobody is waiting", "当前无人等待"],
  nothing_queue_more: ["New conversations appear here by themselves.", "新的会话会自动出现在这里。"],
  nothing_mine: ["You have no conversations", "您还没有会话"],
  nothing_mine_more: ["Claim one from the queue.", "请从待接入列表中认领。"],
  nothing_all: ["No hand-offs yet", "还没有转人工记录"],
  nothing_all_more: ["Whatever goes to a person is kept here.", "所有转人工的会话都会保留在这里。"],
  more: ["Show more", "显示更多"],
  choose: ["Choose a conversation", "请选择一个会话"],
  choose_more: [
    "You see everything that was said, what the assistant found, and why it asked for a person.",
    "您可以看到全部对话、助手查到的内容，以及转人工的原因。",
  ],
  customer: ["Customer", "客户"],
  visitor: ["Visitor", "访客"],
  assistant: ["Assistant", "智能助手"],
  agent: ["Agent", "客服"],
  system: ["System", "系统"],
  waiting: ["waiting {time}", "已等待 {time}"],
  waits: ["Waits for an answer since {time}", "已等待回复 {time}"],
  unread: ["new", "新消息"],
  claim: ["Claim", "认领"],
  claim_this: ["Claim this conversation", "认领此会话"],
  claim_more: ["It becomes yours; the customer sees your name.", "认领后由您负责，客户会看到您的姓名。"],
  claimed_by: ["{name} has this conversation.", "{name} 正在处理此会话。"],
  ended_resolved: ["This conversation was resolved.", "此会话已解决。"],
  ended_returned: ["This conversation went back to the assistant.", "此会话已交还给智能助手。"],
  ended_cancelled: ["The customer went back to the assistant.", "客户已选择返回智能助手。"],
  needs_account: ["Sign in with an agent's account to answer.", "请使用客服账号登录后再回复。"],
  status_queued: ["Queued", "待接入"],
  status_claimed: ["Claimed", "处理中"],
  status_resolved: ["Resolved", "已解决"],
  status_returned: ["Returned", "已交还"],
  status_cancelled: ["Cancelled", "已取消"],
  reply: ["Reply", "回复"],
  note: ["Note", "备注"],
  write_reply: ["Write to the customer. Enter sends.", "回复客户，按 Enter 发送"],
  write_note: ["Only agents see this. Enter keeps it.", "仅客服可见，按 Enter 保存"],
  send: ["Send", "发送"],
  keep_note: ["Keep note", "保存备注"],
  keep_as_faq: ["Keep as FAQ", "存为常见问题"],
  keep_answers: ["Keep my answers as FAQ candidates", "将我的回答存为常见问题候选"],
  suggest: ["Suggest an answer", "建议回复"],
  suggesting: ["Looking through the manuals…", "正在查阅手册……"],
  suggested: ["Suggested answer", "建议的回复"],
  not_in_manuals: ["The manuals do not say", "手册中没有相关内容"],
  edit: ["Edit", "编辑"],
  discard: ["Discard", "放弃"],
  transfer: ["Transfer", "转接"],
  transfer_to: ["To", "转给"],
  a_group: ["Group: {name}", "技能组：{name}"],
  other_group: ["Another group…", "其他技能组……"],
  group_name: ["Name of the group", "技能组名称"],
  note_for: ["Note for who takes over", "给接手同事的备注"],
  resolve: ["Resolve", "解决"],
  return: ["Back to the assistant", "交还助手"],
  give_back: ["To assistant", "交还助手"],
  last_words: ["Last message to the customer (may stay empty)", "给客户的最后一条消息（可留空）"],
  cancel: ["Cancel", "取消"],
  close: ["Close", "关闭"],
  is_typing: ["{name} is typing…", "{name} 正在输入……"],
  details: ["Details", "详情"],
  back_to_list: ["Back to the list", "返回列表"],
  why_here: ["Why it is here", "转人工原因"],
  reason_asked_for: ["Asked for a person", "客户要求人工"],
  reason_anger: ["Upset", "客户情绪不满"],
  reason_repeated_failure: ["Not helped twice", "多次未能解答"],
  reason_sensitive: ["Sensitive topic", "敏感话题"],
  reason_flow: ["A flow needs a person", "流程需要人工"],
  summary: ["Summary", "摘要"],
  passages: ["Passages found", "已查到的段落"],
  who: ["Customer", "客户信息"],
  state: ["Conversation", "会话状态"],
  product: ["Product", "产品"],
  topic: ["Topic", "话题"],
  open_question: ["Open question", "待客户回答"],
  searched_for: ["Searched for", "检索内容"],
  cited: ["Cited passages", "引用段落"],
  cited_count: ["{count} passage(s)", "{count} 个段落"],
  flow: ["Flow", "流程"],
  step: ["step {name}", "步骤 {name}"],
  routing: ["Routing", "路由"],
  handler_knowledge: ["manuals", "手册"],
  handler_flow: ["flow", "流程"],
  handler_chat: ["small talk", "闲聊"],
  handler_hand_off: ["person", "人工"],
  handler_refusal: ["refused", "拒绝"],
  by_intent: ["the intent was recognised", "识别到意图"],
  by_no_intent: ["no intent was recognised", "未识别到意图"],
  by_nothing_set: ["nothing is set for this intent", "该意图没有设置处理方式"],
  by_small_talk: ["small talk", "闲聊"],
  by_abuse: ["abuse", "辱骂"],
  by_injection: ["it tries to instruct the assistant", "试图操纵助手"],
  by_signal: ["words that ask for it", "含有明确的要求"],
  by_failures: ["too many answers found nothing", "多次未能找到答案"],
  decision: ["Decision", "决策"],
  context: ["Page", "所在页面"],
  notes: ["Notes", "备注"],
  no_notes: ["No notes yet", "还没有备注"],
  history: ["Hand-offs", "转接记录"],
  group: ["Group", "技能组"],
  knowledge_base: ["Knowledge base", "知识库"],
  rated: ["Rated {stars} of 5", "评分 {stars}/5"],
  answering: ["Answering…", "正在作答……"],
  failed: ["This answer failed.", "回答失败。"],
  sending: ["Sending…", "正在发送……"],
  page_of: ["Page of {title}", "{title} 的页面"],
  page: ["p. {page}", "第 {page} 页"],
  reconnecting: ["Connection lost, trying again…", "连接已断开，正在重试……"],
  unreachable: ["The server cannot be reached. It is tried again.", "无法连接服务器，正在重试。"],
};

let column = 0;

/** `language` is en or zh. */
export function speak(language) {
  column = language === "zh" ? 1 : 0;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}

/** A text; a name that is none of ours is shown as it is, readable. */
export function say(name, values = {}) {
  const text = WORDS[name]?.[column] ?? String(name).replaceAll("_", " ");
  return text.replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}

/** What somebody or something is called by us; `fallback` where we have no word of our own. */
export function called(prefix, name) {
  return WORDS[`${prefix}_${name}`] ? say(`${prefix}_${name}`) : String(name).replaceAll("_", " ");
}

/** How long ago, in one unit. */
export function since(time) {
  const seconds = Math.max(0, (Date.now() - new Date(time).getTime()) / 1000);
  const units = column ? ["秒", "分钟", "小时", "天"] : [" s", " min", " h", " d"];
  if (seconds < 60) return `${Math.floor(seconds)}${units[0]}`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${units[1]}`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}${units[2]}`;
  return `${Math.floor(seconds / 86_400)}${units[3]}`;
}

/** The time of day, with the date when it is another. */
export function clock(time) {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  const format = { hour: "2-digit", minute: "2-digit", ...(today ? {} : { day: "numeric", month: "short" }) };
  return at.toLocaleString(column ? "zh-CN" : "en-GB", format);
}
